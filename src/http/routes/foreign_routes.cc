#include "http/routes/routes.h"

// Routes of Docker's that this engine answers only to say what it is not.
namespace holdfast::http {
namespace {

constexpr const char* kNoSwarm =
    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
    "connect this node to swarm and "
    "try again.";

constexpr const char* kNoManagedPlugins =
    "managed plugins are not supported: start the plugin as a service of the host, and it is used "
    "once its socket or specification is in a plugin directory";

Result<Reply> no_swarm(const Request&) { return fail(Code::kUnavailable, "{}", kNoSwarm); }

}  // namespace

void add_foreign_routes(Router& router) {
  for (const char* resource : {"swarm", "nodes", "services", "tasks", "configs"}) {
    router.add_simple("GET", fmt::format("/{}", resource), no_swarm);
    for (const char* method : {"GET", "POST", "DELETE"}) {
      router.add_simple(method, fmt::format("/{}/{{rest:.*}}", resource), no_swarm);
    }
  }
  // Managed plugins live in images, which this engine doesn't run plugins from; those it discovers
  // are told by volume_routes.cc.
  router.add_unbuilt("POST", "/plugins/{rest:.*}", kNoManagedPlugins);
  router.add_unbuilt("DELETE", "/plugins/{rest:.*}", kNoManagedPlugins);
  router.add_unbuilt(
      "POST", "/build",
      "building images is not supported: build with BuildKit or buildah and load the result");
  // `docker system prune` asks for this, too: there is never a build cache.
  router.add_simple("POST", "/build/prune", [](const Request&) -> Result<Reply> {
    return Reply::json(json::Object{{"CachesDeleted", nullptr}, {"SpaceReclaimed", 0}});
  });
  router.add_unbuilt("POST", "/session",
                     "sessions are for building images, which is not supported");
  router.add_unbuilt("POST", "/grpc", "sessions are for building images, which is not supported");
  router.add_unbuilt("GET", "/distribution/{name:.*}/json",
                     "asking a registry about an image is not supported yet");
}

}  // namespace holdfast::http
