#include "base/base64.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

// Files of containers: docker cp and docker export.
namespace holdfast::http {
namespace {

std::string path_stat_header(const PathStat& stat) {
  return base64_encode(json::serialize(stat.to_json()));
}

Result<std::string> wanted_path(const Request& request) {
  std::string path = request.query.get("path");
  if (path.empty()) return fail(Code::kInvalidArgument, "bad parameter: path cannot be empty");
  if (path.find('\0') != std::string::npos)
    return fail(Code::kInvalidArgument, "bad parameter: the path holds a NUL");
  return path;
}

Result<Reply> stat(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto path, wanted_path(request));
  ASSIGN_OR_RETURN(auto found, engine.stat_path(request.param("id"), path));
  std::string header = path_stat_header(found);
  Reply reply{200, {{"X-Docker-Container-Path-Stat", header}}, {}};
  return reply;
}

void get(Engine& engine, const Request& request, Responder responder) {
  auto path = wanted_path(request);
  if (!path) {
    responder.send_error(path.error());
    return;
  }
  LateStream stream(std::move(responder), {{"Content-Type", "application/x-tar"}});
  auto status = engine.get_archive(request.param("id"), *path, [&](const PathStat& found) {
    stream.add_header("X-Docker-Container-Path-Stat", path_stat_header(found));
    return stream.sink();
  });
  stream.finish(status, false);
}

Result<Reply> put(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto path, wanted_path(request));
  PutArchiveOptions options;
  options.no_overwrite_dir_non_dir = request.query.flag("noOverwriteDirNonDir");
  options.copy_owner = request.query.flag("copyUIDGID");
  RETURN_IF_ERROR(
      engine.put_archive(request.param("id"), path, options, upload_source(request.upload)));
  return Reply::empty(200);
}

void export_container(Engine& engine, const Request& request, Responder responder) {
  LateStream stream(std::move(responder), {{"Content-Type", "application/octet-stream"}});
  stream.finish(engine.export_container(request.param("id"), [&] { return stream.sink(); }), false);
}

}  // namespace

void add_archive_routes(Router& router, Engine& engine) {
  router.add_simple("HEAD", "/containers/{id}/archive",
                    [&engine](const Request& request) { return stat(engine, request); },
                    {.where = Where::kTransfer});
  router.add("GET", "/containers/{id}/archive",
             [&engine](Request request, Responder responder) {
               get(engine, request, std::move(responder));
             },
             {.where = Where::kTransfer});
  router.add_simple("PUT", "/containers/{id}/archive",
                    [&engine](const Request& request) { return put(engine, request); },
                    {.body = BodyKind::kUpload, .where = Where::kTransfer});
  router.add("GET", "/containers/{id}/export",
             [&engine](Request request, Responder responder) {
               export_container(engine, request, std::move(responder));
             },
             {.where = Where::kTransfer});
}

}  // namespace holdfast::http
