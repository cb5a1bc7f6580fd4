#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"
#include "wire/registry_auth.h"

// Images on their way in and out: pull, import, push, load, save. Progress goes to the client as
// Docker's JSON lines.
namespace holdfast::http {
namespace {

const HeaderList kJsonLines = {{"Content-Type", "application/json"}};

Result<image::Credentials> credentials_of(const Request& request) {
  ASSIGN_OR_RETURN(auto auth, wire::decode_registry_auth(request.headers.get("X-Registry-Auth")));
  return image::Credentials{auth.username, auth.password, auth.identity_token, auth.registry_token};
}

Result<std::optional<image::Platform>> platform_of(const Request& request) {
  std::string text = request.query.get("platform");
  if (text.empty()) return std::optional<image::Platform>();
  ASSIGN_OR_RETURN(auto platform, image::parse_platform(text));
  return std::optional<image::Platform>(platform);
}

image::Progress progress_to(LateStream& stream) {
  return [&stream](std::string_view json) { stream.write_line(json); };
}

std::string with_tag(const std::string& name, const std::string& tag) {
  if (tag.empty()) return name;
  return name + (tag.find(':') == std::string::npos ? ":" : "@") + tag;
}

Status pull(Engine& engine, const Request& request, LateStream& stream) {
  ASSIGN_OR_RETURN(auto credentials, credentials_of(request));
  ASSIGN_OR_RETURN(auto platform, platform_of(request));
  return engine.images().pull(with_tag(request.query.get("fromImage"), request.query.get("tag")),
                              platform, credentials, progress_to(stream), stream.cancellation());
}

Status import(Engine& engine, const Request& request, LateStream& stream) {
  std::string source = request.query.get("fromSrc");
  if (source != "-") {
    return fail(Code::kNotImplemented,
                "importing from {} is not supported: the engine opens no addresses, send the file",
                source);
  }
  image::ImportRequest wanted;
  wanted.reference = with_tag(request.query.get("repo"), request.query.get("tag"));
  wanted.message = request.query.get("message");
  wanted.changes = request.query.all("changes");
  ASSIGN_OR_RETURN(auto platform, platform_of(request));
  if (platform) wanted.platform = *platform;
  ASSIGN_OR_RETURN(auto id, engine.images().import(upload_source(request.upload), wanted,
                                                   progress_to(stream), stream.cancellation()));
  (void)id;  // told through the progress
  return {};
}

void create(Engine& engine, const Request& request, Responder responder) {
  LateStream stream(std::move(responder), kJsonLines);
  if (!request.query.get("fromImage").empty()) {
    stream.finish(pull(engine, request, stream), true);
  } else if (!request.query.get("fromSrc").empty()) {
    stream.finish(import(engine, request, stream), true);
  } else {
    stream.finish(fail(Code::kInvalidArgument, "either fromImage or fromSrc is needed"), true);
  }
}

Status push(Engine& engine, const Request& request, LateStream& stream) {
  ASSIGN_OR_RETURN(auto credentials, credentials_of(request));
  return engine.images().push(with_tag(request.param("name"), request.query.get("tag")),
                              credentials, progress_to(stream), stream.cancellation());
}

void load(Engine& engine, const Request& request, Responder responder) {
  LateStream stream(std::move(responder), kJsonLines);
  bool quiet = request.query.flag("quiet");
  auto progress = [&](std::string_view json) {
    if (!quiet || json.find("\"stream\"") != std::string_view::npos) stream.write_line(json);
  };
  stream.finish(
      engine.images().load(upload_source(request.upload), progress, stream.cancellation()), true);
}

void save(Engine& engine, const std::vector<std::string>& names, Responder responder) {
  LateStream stream(std::move(responder), {{"Content-Type", "application/x-tar"}});
  stream.finish(engine.images().save(names, stream.sink(), stream.cancellation()), false);
}

}  // namespace

void add_image_transfer_routes(Router& router, Engine& engine) {
  RouteOptions upload{.body = BodyKind::kUpload, .where = Where::kTransfer};
  RouteOptions transfer{.where = Where::kTransfer};
  router.add(
      "POST", "/images/create",
      [&engine](Request request, Responder responder) {
        create(engine, request, std::move(responder));
      },
      upload);
  router.add(
      "POST", "/images/load",
      [&engine](Request request, Responder responder) {
        load(engine, request, std::move(responder));
      },
      upload);
  router.add(
      "GET", "/images/get",
      [&engine](Request request, Responder responder) {
        save(engine, request.query.all("names"), std::move(responder));
      },
      transfer);
  router.add(
      "GET", "/images/{name:.*}/get",
      [&engine](Request request, Responder responder) {
        save(engine, {request.param("name")}, std::move(responder));
      },
      transfer);
  router.add(
      "POST", "/images/{name:.*}/push",
      [&engine](Request request, Responder responder) {
        LateStream stream(std::move(responder), kJsonLines);
        stream.finish(push(engine, request, stream), true);
      },
      transfer);
}

}  // namespace holdfast::http
