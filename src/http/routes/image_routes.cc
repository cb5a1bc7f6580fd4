#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {
namespace {

Result<Reply> list(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto filters, filters_of(request));
  // The parameter of old clients that became the filter "reference".
  if (std::string name = request.query.get("filter"); !name.empty())
    filters.emplace("reference", name);
  ASSIGN_OR_RETURN(auto images, engine.list_images(filters, request.query.flag("all")));
  return Reply::json(images);
}

Result<Reply> inspect(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto image, engine.images().inspect(request.param("name")));
  // Gone from the newest API, but Compose 1.29 indexes into it whatever version it speaks.
  image["ContainerConfig"] = json::Object(json::object_or_empty(image, "Config"));
  if (request.version < ApiVersion{1, 44}) image["VirtualSize"] = json::int_or(image, "Size");
  return Reply::json(image);
}

Result<Reply> remove(Engine& engine, const Request& request) {
  image::RemoveOptions options;
  options.force = request.query.flag("force");
  options.prune_parents = !request.query.flag("noprune");
  ASSIGN_OR_RETURN(auto removed, engine.remove_image(request.param("name"), options));
  return Reply::json(removed);
}

Result<Reply> tag(Engine& engine, const Request& request) {
  RETURN_IF_ERROR(engine.images().tag(request.param("name"), request.query.get("repo"),
                                      request.query.get("tag")));
  return Reply::empty(201);
}

Result<Reply> prune(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto filters, filters_of(request));
  ASSIGN_OR_RETURN(auto pruned, engine.prune_images(filters));
  return Reply::json(pruned);
}

}  // namespace

void add_image_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/images/json",
                    [&engine](const Request& request) { return list(engine, request); });
  router.add_unbuilt("GET", "/images/search", "searching a registry is not supported");
  router.add_simple("POST", "/images/prune",
                    [&engine](const Request& request) { return prune(engine, request); });
  router.add_simple("GET", "/images/{name:.*}/json",
                    [&engine](const Request& request) { return inspect(engine, request); });
  router.add_simple(
      "GET", "/images/{name:.*}/history", [&engine](const Request& request) -> Result<Reply> {
        ASSIGN_OR_RETURN(auto history, engine.images().history(request.param("name")));
        return Reply::json(history);
      });
  router.add_simple("POST", "/images/{name:.*}/tag",
                    [&engine](const Request& request) { return tag(engine, request); });
  router.add_simple("DELETE", "/images/{name:.*}",
                    [&engine](const Request& request) { return remove(engine, request); });
}

}  // namespace holdfast::http
