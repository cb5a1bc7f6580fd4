#include "http/routes/route_support.h"
#include "http/routes/routes.h"

// Routes whose answers go on for as long as the container does. None of them holds a thread.
namespace holdfast::http {
namespace {

const char* stream_type(const Request& request, bool tty) {
  // Since API 1.42 clients are told which of the two it is.
  bool told = request.version >= ApiVersion{1, 42};
  return tty || !told ? kRawStream : kMultiplexedStream;
}

Status attach(Engine& engine, const Request& request, Responder& responder) {
  AttachOptions options;
  options.logs = request.query.flag("logs");
  options.stream = request.query.flag("stream");
  options.in = request.query.flag("stdin");
  options.out = request.query.flag("stdout");
  options.err = request.query.flag("stderr");
  options.detach_keys = request.query.get("detachKeys");
  return engine.attach(request.param("id"), options, [&](bool tty) {
    return make_client_duplex(responder.hijack(stream_type(request, tty)), tty);
  });
}

Result<std::optional<Time>> log_moment(const Request& request, const char* name) {
  std::string text = request.query.get(name);
  if (text.empty() || text == "0") return std::optional<Time>();
  auto moment = parse_moment(text, now());
  if (!moment) return fail(Code::kInvalidArgument, "invalid value for \"{}\": {}", name, text);
  return moment;
}

Status logs(Engine& engine, const Request& request, Responder& responder) {
  LogOptions options;
  options.follow = request.query.flag("follow");
  options.out = request.query.flag("stdout");
  options.err = request.query.flag("stderr");
  options.timestamps = request.query.flag("timestamps");
  ASSIGN_OR_RETURN(options.since, log_moment(request, "since"));
  ASSIGN_OR_RETURN(options.until, log_moment(request, "until"));
  // Anything that is no number means all, as for Docker.
  std::string tail = request.query.get("tail", "all");
  if (!tail.empty() && tail.find_first_not_of("0123456789") == std::string::npos &&
      tail.size() < 10) {
    options.tail = std::stoul(tail);
  }
  return engine.logs(request.param("id"), options, [&](bool tty) {
    return make_client_output(responder.stream(200, {{"Content-Type", stream_type(request, tty)}}),
                              tty);
  });
}

Result<WaitCondition> wait_condition(const std::string& text) {
  if (text.empty() || text == "not-running") return WaitCondition::kNotRunning;
  if (text == "next-exit") return WaitCondition::kNextExit;
  if (text == "removed") return WaitCondition::kRemoved;
  return fail(Code::kInvalidArgument, "invalid condition: \"{}\"", text);
}

// The head goes out at once: `docker run` starts the container only when it knows that its wait has
// begun.
Status wait(Engine& engine, const Request& request, Responder& responder) {
  ASSIGN_OR_RETURN(auto condition, wait_condition(request.query.get("condition")));
  ASSIGN_OR_RETURN(auto info, engine.inspect(request.param("id"), false));
  auto writer =
      std::make_shared<StreamWriter>(responder.stream(200, {{"Content-Type", "application/json"}}));
  auto subscription = std::make_shared<Subscription>();
  auto waiting =
      engine.wait(json::string_or(info, "Id"), condition, [writer](const WaitResult& result) {
        json::Object body{{"StatusCode", result.exit_code}};
        if (!result.error.empty()) body["Error"] = json::Object{{"Message", result.error}};
        (void)writer->try_write(json::serialize(body) + "\n");
        writer->finish();
      });
  if (!waiting) {
    // Removed between the two: that, too, is an end.
    (void)writer->try_write("{\"StatusCode\":0}\n");
    writer->finish();
    return {};
  }
  *subscription = std::move(*waiting);
  // A client that goes away takes its wait along. The container keeps the writer until then, or
  // until the end.
  writer->on_close([subscription] { subscription->cancel(); });
  return {};
}

json::Object previous_as_precpu(const json::Object& previous, json::Object current) {
  current["precpu_stats"] = *json::find(previous, "cpu_stats");
  current["preread"] = *json::find(previous, "read");
  return current;
}

// Samples once a second on the loop's timer until the client leaves or the container ends.
class StatsStream : public std::enable_shared_from_this<StatsStream> {
 public:
  StatsStream(Engine& engine, EventLoop& loop, std::string id, StreamWriter writer, bool once,
              json::Object first)
      : engine_(engine),
        loop_(loop),
        id_(std::move(id)),
        writer_(std::move(writer)),
        once_(once),
        last_(std::move(first)) {}

  void begin() {
    if (!once_) (void)writer_.try_write(json::serialize(last_) + "\n");
    schedule();
  }

 private:
  void schedule() {
    timer_ = loop_.after(std::chrono::seconds(1), [self = shared_from_this()] { self->sample(); });
  }
  void sample() {
    if (!writer_.open()) return;
    auto stats = engine_.stats(id_);
    if (!stats) {
      writer_.finish();
      return;
    }
    json::Object current = previous_as_precpu(last_, std::move(*stats));
    (void)writer_.try_write(json::serialize(current) + "\n");
    last_ = std::move(current);
    if (once_) {
      writer_.finish();
    } else {
      schedule();
    }
  }

  Engine& engine_;
  EventLoop& loop_;
  const std::string id_;
  StreamWriter writer_;
  const bool once_;
  json::Object last_;
  Subscription timer_;
};

Status stats(Engine& engine, EventLoop& loop, const Request& request, Responder& responder) {
  ASSIGN_OR_RETURN(auto first, engine.stats(request.param("id")));
  bool stream = request.query.flag("stream", true);
  if (!stream && request.query.flag("one-shot")) {
    responder.send(Reply::json(first));
    return {};
  }
  std::string id = json::string_or(first, "id");
  auto writer = responder.stream(200, {{"Content-Type", "application/json"}});
  std::make_shared<StatsStream>(engine, loop, id, std::move(writer), !stream, std::move(first))
      ->begin();
  return {};
}

}  // namespace

void add_container_stream_routes(Router& router, Engine& engine, EventLoop& loop) {
  auto add = [&](const char* method, const char* pattern,
                 std::function<Status(const Request&, Responder&)> handler,
                 RouteOptions options = {}) {
    router.add(
        method, pattern,
        [handler](Request request, Responder responder) {
          if (auto status = handler(request, responder); !status)
            responder.send_error(status.error());
        },
        options);
  };
  add("POST", "/containers/{id}/attach",
      [&engine](const Request& request, Responder& responder) {
        return attach(engine, request, responder);
      },
      {.body = BodyKind::kInput});
  add("GET", "/containers/{id}/logs", [&engine](const Request& request, Responder& responder) {
    return logs(engine, request, responder);
  });
  add("POST", "/containers/{id}/wait", [&engine](const Request& request, Responder& responder) {
    return wait(engine, request, responder);
  });
  add("GET", "/containers/{id}/stats",
      [&engine, &loop](const Request& request, Responder& responder) {
        return stats(engine, loop, request, responder);
      });
  router.add_unbuilt("GET", "/containers/{id}/attach/ws",
                     "attaching by WebSocket is not supported");
}

}  // namespace holdfast::http
