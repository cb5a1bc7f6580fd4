#include "http/routes/routes.h"

namespace holdfast::http {

Router make_routes(Engine& engine, EventLoop& loop) {
  Router router;
  add_system_routes(router, engine, loop);
  add_container_routes(router, engine);
  add_container_stream_routes(router, engine, loop);
  add_archive_routes(router, engine);
  add_exec_routes(router, engine);
  add_image_transfer_routes(router, engine);
  add_image_routes(router, engine);
  add_volume_routes(router, engine);
  add_storage_routes(router, engine);
  add_migrate_routes(router, engine);
  add_network_routes(router, engine);
  add_secret_routes(router, engine);
  add_foreign_routes(router);
  return router;
}

}  // namespace holdfast::http
