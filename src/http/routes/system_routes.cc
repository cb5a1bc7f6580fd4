#include "http/json_body.h"
#include "http/routes/route_support.h"
#include "http/routes/routes.h"

namespace holdfast::http {
namespace {

Reply ping(const Request&) {
  Reply reply = Reply::bytes("OK", "text/plain; charset=utf-8");
  reply.headers.emplace_back("Builder-Version", "");
  reply.headers.emplace_back("Swarm", "inactive");
  reply.headers.emplace_back("Cache-Control", "no-cache, no-store, must-revalidate");
  reply.headers.emplace_back("Pragma", "no-cache");
  return reply;
}

// One client of GET /events, shared by the bus, the loop and the timer that ends it. A client that
// reads too slowly to keep up is cut: it must not take a story with gaps for the whole.
class EventStream : public std::enable_shared_from_this<EventStream> {
 public:
  EventStream(EventLoop& loop, StreamWriter writer, EventFilter filter)
      : loop_(loop), writer_(std::move(writer)), filter_(std::move(filter)) {}

  void begin(Engine& engine, std::optional<Time> since, std::optional<Time> until) {
    auto self = shared_from_this();
    writer_->on_close([self] { self->end(false); });
    auto subscription =
        engine.events().subscribe(since, [self](const Event& event) { self->take(event); });
    std::lock_guard lock(mutex_);
    subscription_ = std::move(subscription);
    if (!until) return;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*until - now());
    timer_ = loop_.after(std::max(left, std::chrono::milliseconds(0)), [self] { self->end(true); });
  }

 private:
  // Called with the bus locked: only queues.
  void take(const Event& event) {
    if (!filter_.matches(event)) return;
    std::lock_guard lock(mutex_);
    if (!writer_ || writer_->try_write(json::serialize(to_json(event)) + "\n")) return;
    loop_.post([self = shared_from_this()] { self->end(false); });
  }

  void end(bool properly) {
    std::optional<StreamWriter> writer;
    Subscription subscription;
    Subscription timer;
    {
      std::lock_guard lock(mutex_);
      std::swap(writer, writer_);
      subscription = std::move(subscription_);
      timer = std::move(timer_);
    }
    if (properly && writer) writer->finish();
  }

  EventLoop& loop_;
  std::mutex mutex_;  // guards what follows
  std::optional<StreamWriter> writer_;
  const EventFilter filter_;
  Subscription subscription_;
  Subscription timer_;
};

Result<std::optional<Time>> moment(const Request& request, const char* name) {
  std::string text = request.query.get(name);
  if (text.empty()) return std::optional<Time>();
  auto parsed = parse_moment(text, now());
  if (!parsed) return fail(Code::kInvalidArgument, "invalid {}: \"{}\"", name, text);
  return parsed;
}

Status stream_events(Engine& engine, EventLoop& loop, const Request& request,
                     Responder& responder) {
  ASSIGN_OR_RETURN(auto filters, filters_of(request));
  ASSIGN_OR_RETURN(auto filter, EventFilter::parse(filters));
  ASSIGN_OR_RETURN(auto since, moment(request, "since"));
  ASSIGN_OR_RETURN(auto until, moment(request, "until"));
  if (until && *until <= now()) {
    std::string body;
    for (const auto& event : engine.events().between(since.value_or(Time{}), *until)) {
      if (filter.matches(event)) body += json::serialize(to_json(event)) + "\n";
    }
    responder.send(Reply::bytes(std::move(body), "application/json"));
    return {};
  }
  auto stream = std::make_shared<EventStream>(
      loop, responder.stream(200, {{"Content-Type", "application/json"}}), std::move(filter));
  stream->begin(engine, since, until);
  return {};
}

}  // namespace

void add_system_routes(Router& router, Engine& engine, EventLoop& loop) {
  router.add_simple("GET", "/_ping",
                    [](const Request& request) -> Result<Reply> { return ping(request); },
                    {.where = Where::kLoop});
  router.add_simple("GET", "/version", [&engine](const Request&) -> Result<Reply> {
    return Reply::json(engine.version());
  });
  router.add_simple("GET", "/info", [&engine](const Request&) -> Result<Reply> {
    return Reply::json(engine.info());
  });
  router.add_simple("GET", "/system/df", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto usage, engine.disk_usage(request.query.all("type")));
    return Reply::json(usage);
  });
  router.add("GET", "/events", [&engine, &loop](Request request, Responder responder) {
    if (auto status = stream_events(engine, loop, request, responder); !status)
      responder.send_error(status.error());
  });
  router.add_simple("POST", "/auth", [&engine](const Request& request) -> Result<Reply> {
    ASSIGN_OR_RETURN(auto body, json_body(request));
    image::Credentials credentials;
    ASSIGN_OR_RETURN(auto server, json::get_string(body, "serveraddress"));
    ASSIGN_OR_RETURN(credentials.username, json::get_string(body, "username"));
    ASSIGN_OR_RETURN(credentials.password, json::get_string(body, "password"));
    RETURN_IF_ERROR(engine.images().check_credentials(server, credentials));
    return Reply::json(json::Object{{"Status", "Login Succeeded"}, {"IdentityToken", ""}});
  });
}

}  // namespace holdfast::http
