// The function app on Flex Consumption with its identity, storage, monitoring and roles.
// No key is used anywhere: the app, its deployment and its telemetry all sign in with one user-assigned identity.

@description('Region for all resources.')
param location string

@description('Tags for every resource.')
param tags object

@description('Suffix that makes resource names unique: what uniqueString returns.')
@minLength(13)
@maxLength(13)
param resourceToken string

@description('Python version of the app.')
param pythonVersion string

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Most instances the app may scale out to.')
param maximumInstanceCount int

@description('HTTP requests one instance serves at a time.')
param httpConcurrency int

@description('Instances kept warm for orchestrators and activities.')
param durableAlwaysReady int

@description('Threads for plain functions in the Python worker.')
param pythonThreads int

@description('Where the task hub lives.')
@allowed([
  'AzureStorage'
  'DurableTaskScheduler'
])
param durableBackend string

@description('Pricing of the Durable Task Scheduler.')
param schedulerSku string

@description('Region of the Durable Task Scheduler.')
param schedulerLocation string

@description('Addresses that may reach the scheduler.')
param schedulerIpAllowlist string[]

@description('Days the scheduler keeps finished orchestrations.')
param historyRetentionDays int

@description('Redundancy of the storage account.')
param storageSku string

@description('Put the storage account behind private endpoints.')
param vnetEnabled bool

@description('Address space of the virtual network.')
param vnetAddressPrefix string

@description('Days Log Analytics keeps logs and traces.')
param logRetentionDays int

@description('GB of logs taken in a day; -1 for no limit.')
param logDailyCapGb int

@description('Object id of whoever may use the scheduler\'s dashboard.')
param operatorPrincipalId string

// host.json names the task hub and is read here, so that the name cannot differ between the package and the scheduler.
// It is never overridden by an app setting: Azure's scale controller reads host.json in the package and nothing else.
var taskHubName = loadJsonContent('../host.json').extensions.durableTask.hubName

var usesScheduler = durableBackend == 'DurableTaskScheduler'
var schedulerSettingName = 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'

// The scale controller does not see the app settings that select the scheduler, and would leave the durable group
// without an instance. One that is always ready takes the work whatever the controller thinks.
var durableInstances = usesScheduler ? max(durableAlwaysReady, 1) : durableAlwaysReady

// Built-in roles: what Durable Functions needs of the storage account, and telemetry by identity.
var storageRoles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${resourceToken}'
  location: location
  tags: tags
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'st${resourceToken}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: storageSku
  }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: vnetEnabled ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: vnetEnabled ? 'None' : 'AzureServices'
      defaultAction: vnetEnabled ? 'Deny' : 'Allow'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource packageContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobService
  name: 'app-package'
  properties: {
    publicAccess: 'None'
  }
}

resource storageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in items(storageRoles): {
  name: guid(storage.id, identity.id, role.value)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
  }
}]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${resourceToken}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionDays
    workspaceCapping: {
      dailyQuotaGb: logDailyCapGb
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${resourceToken}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource insightsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

module network 'network.bicep' = if (vnetEnabled) {
  name: 'network-${resourceToken}'
  params: {
    location: location
    tags: tags
    name: 'vnet-${resourceToken}'
    addressPrefix: vnetAddressPrefix
    storageAccountId: storage.id
    storageAccountName: storage.name
  }
}

module scheduler 'scheduler.bicep' = if (usesScheduler) {
  name: 'scheduler-${resourceToken}'
  params: {
    location: schedulerLocation
    tags: tags
    name: 'dts-${resourceToken}'
    taskHubName: taskHubName
    skuName: schedulerSku
    ipAllowlist: schedulerIpAllowlist
    retentionDays: historyRetentionDays
    appPrincipalId: identity.properties.principalId
    operatorPrincipalId: operatorPrincipalId
  }
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${resourceToken}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource functionApp 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${resourceToken}'
  location: location
  kind: 'functionapp,linux'
  tags: union(tags, {
    'azd-service-name': 'api'
  })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: vnetEnabled ? network!.outputs.appSubnetId : null
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer.name}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: durableInstances > 0 ? [
          {
            name: 'durable'
            instanceCount: durableInstances
          }
        ] : []
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
  }
  // The host reads its package and its storage as soon as it starts.
  dependsOn: [
    storageAccess
    insightsAccess
  ]
}

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: functionApp
  name: 'appsettings'
  properties: union({
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    PYTHON_THREADPOOL_THREAD_COUNT: string(pythonThreads)
  }, usesScheduler ? {
    // No secret: an address and the identity to sign in with. The two names below override host.json for the host.
    '${schedulerSettingName}': 'Endpoint=${scheduler!.outputs.endpoint};Authentication=ManagedIdentity;ClientID=${identity.properties.clientId}'
    AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
    AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: schedulerSettingName
  } : {
    // Microsoft's advice for Flex Consumption: the default of 30 s makes the first message after a pause wait.
    AzureFunctionsJobHost__extensions__durableTask__storageProvider__maxQueuePollingInterval: '00:00:10'
  })
}

// Publishing with a user name and password is off; azd, az and func deploy with an Entra token.
resource noFtpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: functionApp
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: functionApp
  name: 'scm'
  properties: {
    allow: false
  }
}

@description('Name of the function app.')
output functionAppName string = functionApp.name

@description('Resource id of the function app.')
output functionAppId string = functionApp.id

@description('Where the app answers.')
output functionAppUrl string = 'https://${functionApp.properties.defaultHostName}'

@description('Dashboard of the scheduler; empty without one.')
output schedulerDashboardUrl string = usesScheduler ? scheduler!.outputs.dashboardUrl : ''
