#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {

void add_network_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/networks", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto networks, engine.list_networks(filters));
    return Reply::json(networks);
  });
  router.add_simple("POST", "/networks/create", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto body, json_body(request));
    ASSIGN_OR_RETURN(auto created, engine.create_network(body));
    return Reply::json(created, 201);
  });
  router.add_simple("POST", "/networks/prune", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto pruned, engine.prune_networks(filters));
    return Reply::json(pruned);
  });
  router.add_simple("POST", "/networks/{id}/connect",
                    [&engine](const Request& request) -> Result<Reply> {
                      ASSIGN_OR_RETURN(auto body, json_body(request));
                      RETURN_IF_ERROR(engine.connect_network(request.param("id"), body));
                      return Reply::empty(200);
                    });
  router.add_simple("POST", "/networks/{id}/disconnect",
                    [&engine](const Request& request) -> Result<Reply> {
                      ASSIGN_OR_RETURN(auto body, json_body(request));
                      RETURN_IF_ERROR(engine.disconnect_network(request.param("id"), body));
                      return Reply::empty(200);
                    });
  router.add_simple("GET", "/networks/{id}", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto network, engine.inspect_network(request.param("id")));
    return Reply::json(network);
  });
  router.add_simple("DELETE", "/networks/{id}", [&engine](const Request& request) -> Result<Reply> {
    RETURN_IF_ERROR(engine.remove_network(request.param("id")));
    return Reply::empty(204);
  });
}

}  // namespace holdfast::http
