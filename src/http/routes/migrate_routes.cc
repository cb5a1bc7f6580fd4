#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

// Holdfast's own API, /holdfast/v1/migrate: volumes of other engines. api/storage.yaml describes
// it.
namespace holdfast::http {
namespace {

constexpr std::chrono::milliseconds kUsualWait(2'000);

Result<Reply> list(const Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto wait, wait_of(request, kUsualWait));
  ASSIGN_OR_RETURN(auto volumes,
                   engine.list_foreign_volumes(request.param("engine"), request.query.get("root"),
                                               wait, request.peer.uid));
  return Reply::json(volumes);
}

Status migrate(Engine& engine, const Request& request, LateStream& stream) {
  ASSIGN_OR_RETURN(auto body, optional_json_body(request));
  MigrateRequest wanted;
  wanted.engine = request.param("engine");
  wanted.requester = request.peer.uid;
  ASSIGN_OR_RETURN(wanted.root, json::get_string(body, "Root"));
  ASSIGN_OR_RETURN(wanted.how, json::get_string(body, "How", "copy"));
  ASSIGN_OR_RETURN(wanted.live, json::get_bool(body, "Live"));
  ASSIGN_OR_RETURN(wanted.names, json::get_strings(body, "Volumes"));
  return engine.migrate(
      wanted, [&stream](std::string_view json) { stream.write_line(json); }, stream.cancellation());
}

}  // namespace

void add_migrate_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/holdfast/v1/migrate/{engine}",
                    [&engine](const Request& request) { return list(engine, request); });
  router.add(
      "POST", "/holdfast/v1/migrate/{engine}",
      [&engine](const Request& request, Responder responder) {
        LateStream stream(std::move(responder), {{"Content-Type", "application/json"}});
        stream.finish(migrate(engine, request, stream), true);
      },
      RouteOptions{.where = Where::kTransfer});
}

}  // namespace holdfast::http
