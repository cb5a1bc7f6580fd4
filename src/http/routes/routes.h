#pragma once

#include "base/event_loop.h"
#include "engine/engine.h"
#include "http/router.h"

namespace holdfast::http {

// The table of all routes, of the Docker Engine API and of our own, each thin over the engine.
// Engine and loop must outlive the server.
Router make_routes(Engine& engine, EventLoop& loop);

// One file per resource.
void add_system_routes(Router& router, Engine& engine, EventLoop& loop);
void add_container_routes(Router& router, Engine& engine);
void add_container_stream_routes(Router& router, Engine& engine, EventLoop& loop);
void add_archive_routes(Router& router, Engine& engine);
void add_exec_routes(Router& router, Engine& engine);
void add_image_routes(Router& router, Engine& engine);
void add_image_transfer_routes(Router& router, Engine& engine);
void add_secret_routes(Router& router, Engine& engine);
void add_volume_routes(Router& router, Engine& engine);
void add_storage_routes(Router& router, Engine& engine);
void add_migrate_routes(Router& router, Engine& engine);
void add_network_routes(Router& router, Engine& engine);
void add_foreign_routes(Router& router);

}  // namespace holdfast::http
