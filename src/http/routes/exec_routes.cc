#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {
namespace {

Result<Reply> create(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto body, json_body(request));
  ASSIGN_OR_RETURN(auto id, engine.exec_create(request.param("id"), body));
  return Reply::json(json::Object{{"Id", id}}, 201);
}

Result<Engine::ExecStart> start_options(const Request& request) {
  Engine::ExecStart options;
  ASSIGN_OR_RETURN(auto body, optional_json_body(request));
  ASSIGN_OR_RETURN(options.detach, json::get_bool(body, "Detach"));
  ASSIGN_OR_RETURN(options.tty, json::get_bool(body, "Tty"));
  ASSIGN_OR_RETURN(auto size, json::get_array(body, "ConsoleSize"));
  if (size.size() == 2 && size[0].is_number() && size[1].is_number()) {
    boost::system::error_code ignored;
    options.console_size = {size[0].to_number<unsigned>(ignored),
                            size[1].to_number<unsigned>(ignored)};
  }
  return options;
}

void start(Engine& engine, const Request& request, Responder responder) {
  auto options = start_options(request);
  if (!options) {
    responder.send_error(options.error());
    return;
  }
  bool told = request.version >= ApiVersion{1, 42};
  bool accepted = false;
  auto status = engine.exec_start(request.param("id"), *options, [&](bool tty) {
    accepted = true;
    return make_client_duplex(responder.hijack(tty || !told ? kRawStream : kMultiplexedStream),
                              tty);
  });
  if (!status && !accepted) {
    responder.send_error(status.error());
  } else if (options->detach) {
    responder.send(Reply::empty(200));
  }
}

Result<Reply> resize(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto height, request.query.number("h"));
  ASSIGN_OR_RETURN(auto width, request.query.number("w"));
  if (height < 0 || width < 0 || height > 65535 || width > 65535) {
    return fail(Code::kInvalidArgument, "invalid terminal size {}x{}", height, width);
  }
  RETURN_IF_ERROR(engine.exec_resize(request.param("id"), static_cast<unsigned>(height),
                                     static_cast<unsigned>(width)));
  return Reply::empty(200);
}

}  // namespace

void add_exec_routes(Router& router, Engine& engine) {
  router.add_simple("POST", "/containers/{id}/exec",
                    [&engine](const Request& request) { return create(engine, request); });
  router.add("POST", "/exec/{id}/start", [&engine](Request request, Responder responder) {
    start(engine, request, std::move(responder));
  });
  router.add_simple("POST", "/exec/{id}/resize",
                    [&engine](const Request& request) { return resize(engine, request); });
  router.add_simple("GET", "/exec/{id}/json", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto exec, engine.exec_inspect(request.param("id")));
    return Reply::json(exec);
  });
}

}  // namespace holdfast::http
