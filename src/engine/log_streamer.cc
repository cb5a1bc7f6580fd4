#include "engine/log_streamer.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kBytesPerTurn = 256 << 10;

// RFC 3339 with all nine decimals, as Docker's logs have it.
std::string fixed_rfc3339(Time time) {
  auto nanos = time.time_since_epoch().count() % 1'000'000'000;
  std::string text = to_rfc3339(Time(time - std::chrono::nanoseconds(nanos)));
  text.pop_back();
  return fmt::format("{}.{:09}Z", text, nanos);
}

}  // namespace

LogStreamer::LogStreamer(EventLoop& loop, std::string path, LogOptions options,
                         std::unique_ptr<ClientOutput> client)
    : loop_(loop),
      path_(std::move(path)),
      options_(std::move(options)),
      client_(std::move(client)) {}

void LogStreamer::begin(const ContainerPtr& container) {
  auto self = shared_from_this();
  client_->on_close([self] { self->loop_.post([self] { self->end(); }); });
  if (options_.follow) {
    container_end_ = container->wait(WaitCondition::kNotRunning, [self](WaitResult) {
      self->loop_.post([self] {
        self->container_ended_ = true;
        if (!self->ended_ && !self->waiting_for_client_) self->open_and_pump();
      });
    });
  }
  loop_.post([self] {
    if (!self->ended_) self->open_and_pump();
  });
}

void LogStreamer::open_and_pump() {
  if (!reader_) {
    auto reader = LogReader::open(path_);
    if (!reader) {  // never started, or its log is not to be read: nothing to show
      end();
      return;
    }
    reader_ = std::move(*reader);
    if (options_.tail && !reader_->seek_tail(*options_.tail)) {
      end();
      return;
    }
    if (options_.follow && !container_ended_) wait_for_more();
  }
  pump();
}

// Watching begins before the first read, so that nothing written in between is missed.
void LogStreamer::wait_for_more() {
  auto watch = watch_log(loop_, path_, [self = shared_from_this()] {
    if (self->ended_) return false;
    if (!self->waiting_for_client_) self->pump();
    return true;
  });
  if (watch) growth_ = std::move(*watch);
}

void LogStreamer::pump() {
  if (ended_) return;
  auto at_end =
      reader_->read_more([this](const LogRecord& record) { return send(record); }, kBytesPerTurn);
  if (ended_ || waiting_for_client_) return;
  if (!at_end || (*at_end && (!options_.follow || container_ended_))) {
    end();
    return;
  }
  if (!*at_end) {
    loop_.post([self = shared_from_this()] {
      if (!self->waiting_for_client_) self->pump();
    });
  }
}

std::string LogStreamer::formatted(const LogRecord& record) {
  auto& started = line_started_[record.stream == OutputStream::kStdout ? 0 : 1];
  std::string text;
  if (options_.timestamps && !started) text = fixed_rfc3339(record.time) + " ";
  started = record.partial;
  return text.append(record.bytes);
}

bool LogStreamer::send(const LogRecord& record) {
  bool wanted = record.stream == OutputStream::kStdout ? options_.out : options_.err;
  if (options_.until && record.time > *options_.until) {
    end();
    return false;
  }
  if (!wanted || (options_.since && record.time < *options_.since)) return true;
  std::string text = formatted(record);
  if (client_->try_write(record.stream, text)) return true;
  held_ = std::move(text);
  held_stream_ = record.stream;
  waiting_for_client_ = true;
  client_->when_writable([self = shared_from_this()] {
    if (self->ended_) return;
    self->waiting_for_client_ = false;
    if (!self->client_->try_write(self->held_stream_, self->held_)) {
      self->end();
      return;
    }
    self->held_.clear();
    self->pump();
  });
  return false;
}

void LogStreamer::end() {
  if (std::exchange(ended_, true)) return;
  growth_.cancel();
  container_end_.cancel();
  if (client_->open()) client_->finish();
}

}  // namespace holdfast
