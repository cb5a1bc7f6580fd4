#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

// Holdfast's own API, /holdfast/v1: what Docker's has no words for. api/storage.yaml describes it.
namespace holdfast::http {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kUsualWait(2'000);

Result<Reply> list(const Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto filters, filters_of(request));
  ASSIGN_OR_RETURN(auto wait, wait_of(request, kUsualWait));
  std::optional<milliseconds> budget;
  if (request.query.flag("size")) budget = wait;
  ASSIGN_OR_RETURN(auto volumes, engine.list_volumes_in_detail(filters, budget));
  return Reply::bytes(std::move(volumes), "application/json");
}

Result<Reply> prune(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto filters, filters_of(request));
  ASSIGN_OR_RETURN(auto wait, wait_of(request, kUsualWait));
  std::string version = to_string(kMaxApiVersion);  // whose defaults hold
  auto report = request.query.flag("dry-run") ? engine.preview_volume_prune(filters, version, wait)
                                              : engine.prune_volumes(filters, version);
  if (!report) return tl::unexpected(std::move(report).error());
  return Reply::json(*report);
}

Result<Reply> rename(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto body, json_body(request));
  ASSIGN_OR_RETURN(auto name, json::get_string(body, "Name"));
  ASSIGN_OR_RETURN(auto volume, engine.rename_volume(request.param("name"), name));
  return Reply::json(volume);
}

}  // namespace

void add_storage_routes(Router& router, Engine& engine) {
  router.add_simple("GET", "/holdfast/v1/volumes",
                    [&engine](const Request& request) { return list(engine, request); });
  router.add_simple("POST", "/holdfast/v1/volumes",
                    [&engine](const Request& request) -> Result<Reply> {
                      ASSIGN_OR_RETURN(auto body, optional_json_body(request));
                      ASSIGN_OR_RETURN(auto volume, engine.create_volume(body, request.peer.uid));
                      return Reply::json(volume, 201);
                    });
  router.add_simple("POST", "/holdfast/v1/volumes/prune",
                    [&engine](const Request& request) { return prune(engine, request); });
  router.add_simple("GET", "/holdfast/v1/volumes/{name}",
                    [&engine](const Request& request) -> Result<Reply> {
                      ASSIGN_OR_RETURN(auto volume, engine.inspect_volume(request.param("name")));
                      return Reply::json(volume);
                    });
  router.add_simple(
      "PATCH", "/holdfast/v1/volumes/{name}", [&engine](const Request& request) -> Result<Reply> {
        ASSIGN_OR_RETURN(auto body, json_body(request));
        ASSIGN_OR_RETURN(auto volume,
                         engine.update_volume(request.param("name"), body, request.peer.uid));
        return Reply::json(volume);
      });
  router.add_simple("POST", "/holdfast/v1/volumes/{name}/rename",
                    [&engine](const Request& request) { return rename(engine, request); });
  router.add_simple(
      "DELETE", "/holdfast/v1/volumes/{name}", [&engine](const Request& request) -> Result<Reply> {
        RETURN_IF_ERROR(engine.remove_volume(request.param("name"), request.query.flag("force")));
        return Reply::empty(204);
      });
}

}  // namespace holdfast::http
