#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {

void add_volume_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/plugins", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto plugins, engine.list_plugins(filters));
    return Reply::json(plugins);
  });
  router.add_simple("GET", "/plugins/{name:.*}/json",
                    [&engine](const Request& request) -> Result<Reply> {
                      ASSIGN_OR_RETURN(auto plugin, engine.inspect_plugin(request.param("name")));
                      return Reply::json(plugin);
                    });
  router.add_simple("GET", "/volumes", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto volumes, engine.list_volumes(filters));
    return Reply::bytes(std::move(volumes), "application/json");
  });
  router.add_simple("POST", "/volumes/create", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto body, optional_json_body(request));
    ASSIGN_OR_RETURN(auto volume, engine.create_volume(body, request.peer.uid));
    return Reply::json(volume, 201);
  });
  router.add_simple("POST", "/volumes/prune", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto pruned, engine.prune_volumes(filters, to_string(request.version)));
    return Reply::json(pruned);
  });
  router.add_simple("GET", "/volumes/{name}", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto volume, engine.inspect_volume(request.param("name")));
    return Reply::json(volume);
  });
  router.add_simple("PUT", "/volumes/{name}", [](const Request&) -> Result<Reply> {
    return fail(Code::kUnavailable,
                "volume update only valid for cluster volumes, but swarm is unavailable");
  });
  router.add_simple(
      "DELETE", "/volumes/{name}", [&engine](const Request& request) -> Result<Reply> {
        RETURN_IF_ERROR(engine.remove_volume(request.param("name"), request.query.flag("force")));
        return Reply::empty(204);
      });
}

}  // namespace holdfast::http
