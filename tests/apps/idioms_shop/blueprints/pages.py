"""HTTP without anything durable, on the plain blueprint of azure-functions."""

import azure.functions as func

pages = func.Blueprint()


@pages.route(route="health", methods=["GET"], auth_level="anonymous")
def health(req: func.HttpRequest) -> str:
    return "fine"


@pages.route(route="upload", methods=["POST", "OPTIONS"])
def upload(req: func.HttpRequest) -> func.HttpResponse:
    if req.method == "OPTIONS":
        return func.HttpResponse(status_code=200, headers={"Access-Control-Allow-Origin": "*"})
    files = req.files.getlist("files")
    text = ", ".join(f"{file.filename} {len(file.stream.read())}" for file in files)
    return func.HttpResponse(f"{text}; {req.form.get('kind', '-')}")
