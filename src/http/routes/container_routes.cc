#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {
namespace {

// 204, or 304 where nothing had to be done.
Reply outcome_reply(Outcome outcome) { return Reply::empty(outcome == Outcome::kDone ? 204 : 304); }

Result<Reply> no_content(Status status) {
  RETURN_IF_ERROR(status);
  return Reply::empty(204);
}

Result<std::optional<int>> stop_timeout(const Request& request) {
  ASSIGN_OR_RETURN(auto seconds, request.query.optional_number("t"));
  if (!seconds) return std::optional<int>();
  return std::optional<int>(static_cast<int>(*seconds));
}

Result<Reply> create(Engine& engine, const Request& request) {
  ContainerRequest wanted;
  wanted.name = request.query.get("name");
  wanted.platform = request.query.get("platform");
  wanted.api_version = to_string(request.version);
  wanted.requester = request.peer.uid;
  ASSIGN_OR_RETURN(wanted.body, json_body(request));
  ASSIGN_OR_RETURN(auto made, engine.create(wanted));
  return Reply::json(
      json::Object{{"Id", made.id.str()}, {"Warnings", json::from_strings(made.warnings)}}, 201);
}

Result<Reply> list(Engine& engine, const Request& request) {
  ListOptions options;
  options.all = request.query.flag("all");
  options.size = request.query.flag("size");
  ASSIGN_OR_RETURN(auto limit, request.query.number("limit"));
  options.limit = limit > 0 ? static_cast<std::size_t>(limit) : 0;
  ASSIGN_OR_RETURN(options.filters, filters_of(request));
  ASSIGN_OR_RETURN(auto containers, engine.list(options));
  return Reply::json(containers);
}

Result<Reply> commit(Engine& engine, const Request& request) {
  CommitRequest wanted;
  wanted.container = request.query.get("container");
  wanted.reference = request.query.get("repo");
  if (std::string tag = request.query.get("tag"); !tag.empty()) wanted.reference += ":" + tag;
  wanted.comment = request.query.get("comment");
  wanted.author = request.query.get("author");
  wanted.changes = request.query.all("changes");
  wanted.pause = request.query.flag("pause", true);
  ASSIGN_OR_RETURN(auto made, engine.commit(wanted));
  return Reply::json(made, 201);
}

Result<Reply> resize(Engine& engine, const Request& request) {
  ASSIGN_OR_RETURN(auto height, request.query.number("h"));
  ASSIGN_OR_RETURN(auto width, request.query.number("w"));
  if (height < 0 || width < 0 || height > 65535 || width > 65535) {
    return fail(Code::kInvalidArgument, "invalid terminal size {}x{}", height, width);
  }
  RETURN_IF_ERROR(engine.resize(request.param("id"), static_cast<unsigned>(height),
                                static_cast<unsigned>(width)));
  return Reply::empty(200);
}

}  // namespace

void add_container_routes(Router& router, Engine& engine) {
  auto add = [&](const char* method, const char* pattern,
                 Result<Reply> (*handler)(Engine&, const Request&)) {
    router.add_simple(method, pattern, [&engine, handler](const Request& request) {
      return handler(engine, request);
    });
  };
  add("GET", "/containers/json", list);
  add("POST", "/containers/create", create);
  add("POST", "/containers/prune", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto filters, filters_of(request));
    ASSIGN_OR_RETURN(auto pruned, e.prune_containers(filters));
    return Reply::json(pruned);
  });
  add("GET", "/containers/{id}/json", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto container, e.inspect(request.param("id"), request.query.flag("size")));
    return Reply::json(container);
  });
  add("GET", "/containers/{id}/top", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto processes,
                     e.top(request.param("id"), request.query.get("ps_args", "-ef")));
    return Reply::json(processes);
  });
  add("GET", "/containers/{id}/changes", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto changes, e.changes(request.param("id")));
    return Reply::json(changes);
  });
  add("POST", "/containers/{id}/start", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto outcome, e.start(request.param("id")));
    return outcome_reply(outcome);
  });
  add("POST", "/containers/{id}/stop", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto timeout, stop_timeout(request));
    ASSIGN_OR_RETURN(auto outcome,
                     e.stop(request.param("id"), timeout, request.query.get("signal")));
    return outcome_reply(outcome);
  });
  add("POST", "/containers/{id}/restart", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto timeout, stop_timeout(request));
    return no_content(e.restart(request.param("id"), timeout, request.query.get("signal")));
  });
  add("POST", "/containers/{id}/kill", [](Engine& e, const Request& request) {
    return no_content(e.kill(request.param("id"), request.query.get("signal")));
  });
  add("POST", "/containers/{id}/pause",
      [](Engine& e, const Request& request) { return no_content(e.pause(request.param("id"))); });
  add("POST", "/containers/{id}/unpause",
      [](Engine& e, const Request& request) { return no_content(e.unpause(request.param("id"))); });
  add("POST", "/containers/{id}/rename", [](Engine& e, const Request& request) {
    return no_content(e.rename(request.param("id"), request.query.get("name")));
  });
  add("POST", "/containers/{id}/resize", resize);
  add("POST", "/commit", commit);
  add("POST", "/containers/{id}/update", [](Engine& e, const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto body, json_body(request));
    ASSIGN_OR_RETURN(auto warnings, e.update(request.param("id"), body));
    return Reply::json(json::Object{{"Warnings", json::from_strings(warnings)}});
  });
  add("DELETE", "/containers/{id}", [](Engine& e, const Request& request) {
    return no_content(e.remove(request.param("id"), {.force = request.query.flag("force"),
                                                     .volumes = request.query.flag("v")}));
  });
}

}  // namespace holdfast::http
