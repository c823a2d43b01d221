// What `azd up` deploys: one resource group with the function app and everything it needs.
// This file names the parameters, wires the modules and hands out what a caller needs; it declares nothing else.
targetScope = 'subscription'

@description('Name of the azd environment. It names the resource group and seeds every other name.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region for all resources. Flex Consumption must be available in it: az functionapp list-flexconsumption-locations.')
@minLength(1)
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Tags for every resource, beside azd\'s own.')
param tags object = {}

@description('Python version of the app on Azure. azure-functions-durable 1.7 runs on each of these.')
@allowed([
  '3.11'
  '3.12'
  '3.13'
])
param pythonVersion string = '3.12'

@description('Memory of an instance in MB; it decides the CPU too: 512 has a quarter of a core, 2048 one, 4096 two.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Most instances the app may scale out to. Also the ceiling of what a mistake can cost.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('HTTP requests one instance serves at a time. The platform\'s own default for Python is 1, an instance a caller.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 16

@description('Instances kept warm for orchestrators and activities, billed around the clock. 0 scales to zero.')
@minValue(0)
@maxValue(20)
param durableAlwaysReady int = 0

@description('Threads for plain (not async) functions in the Python worker; the worker itself takes no more than 32.')
@minValue(1)
@maxValue(32)
param pythonThreads int = 32

@description('Where the task hub lives: AzureStorage (queues and tables of the app\'s account) or DurableTaskScheduler (managed).')
@allowed([
  'AzureStorage'
  'DurableTaskScheduler'
])
param durableBackend string = 'AzureStorage'

@description('Pricing of the Durable Task Scheduler, if that is the backend: Consumption pays by action, Dedicated by capacity unit.')
@allowed([
  'Consumption'
  'Dedicated'
])
param schedulerSku string = 'Consumption'

@description('Region of the Durable Task Scheduler, which is offered in fewer regions than Functions. Empty for the same one.')
param schedulerLocation string = ''

@description('Addresses that may reach the scheduler. It asks every caller for an Entra token as well; an empty list shuts it.')
param schedulerIpAllowlist string[] = [
  '0.0.0.0/0'
]

@description('Days the scheduler keeps finished orchestrations. On Azure Storage nothing is deleted by itself.')
@minValue(1)
@maxValue(30)
param historyRetentionDays int = 30

@description('Redundancy of the storage account.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_LRS'

@description('Put the storage account behind private endpoints in a virtual network that the app joins. The app\'s URL stays public.')
param vnetEnabled bool = false

@description('Address space of that virtual network, /16 to /22: two /24 subnets are cut from it.')
param vnetAddressPrefix string = '10.0.0.0/16'

@description('Days Log Analytics keeps logs and traces. 30 are free.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('GB of logs taken in a day; what comes after is dropped, so that a log loop cannot run up a bill. -1 for no limit.')
@minValue(-1)
param logDailyCapGb int = 1

@description('Object id of a person or group that may use the scheduler\'s dashboard. Empty for nobody.')
param operatorPrincipalId string = ''

var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))
var allTags = union(tags, {
  'azd-env-name': environmentName
})

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

module app 'app.bicep' = {
  name: 'app-${resourceToken}'
  scope: group
  params: {
    location: location
    tags: allTags
    resourceToken: resourceToken
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    durableAlwaysReady: durableAlwaysReady
    pythonThreads: pythonThreads
    durableBackend: durableBackend
    schedulerSku: schedulerSku
    schedulerLocation: empty(schedulerLocation) ? location : schedulerLocation
    schedulerIpAllowlist: schedulerIpAllowlist
    historyRetentionDays: historyRetentionDays
    storageSku: storageSku
    vnetEnabled: vnetEnabled
    vnetAddressPrefix: vnetAddressPrefix
    logRetentionDays: logRetentionDays
    logDailyCapGb: logDailyCapGb
    operatorPrincipalId: operatorPrincipalId
  }
}

@description('Region of the deployment.')
output AZURE_LOCATION string = location

@description('Resource group that holds everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Name of the function app.')
output AZURE_FUNCTION_APP_NAME string = app.outputs.functionAppName

@description('Resource id of the function app.')
output AZURE_FUNCTION_APP_ID string = app.outputs.functionAppId

@description('Where the app answers: BASE_URL of the end-to-end suite.')
output SERVICE_API_URI string = app.outputs.functionAppUrl

@description('Name of the host key that opens every function. The key itself is never an output.')
output FUNCTION_KEY_NAME string = 'default'

@description('Command that shows that key to whoever may see it.')
output FUNCTION_KEY_COMMAND string = 'az functionapp keys list --resource-group ${group.name} --name ${app.outputs.functionAppName} --query functionKeys.default --output tsv'

@description('Azure Resource Manager of this cloud, from which the smoke test asks for the key.')
output AZURE_RESOURCE_MANAGER_URL string = environment().resourceManager

@description('The backend of the task hub that was chosen.')
output DURABLE_BACKEND string = durableBackend

@description('Dashboard of the Durable Task Scheduler; empty on Azure Storage.')
output DURABLE_DASHBOARD_URL string = app.outputs.schedulerDashboardUrl
