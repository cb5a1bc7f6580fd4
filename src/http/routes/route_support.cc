#include "http/routes/route_support.h"

#include "base/clock.h"
#include "base/json.h"
#include "wire/stream_frame.h"

namespace holdfast::http {
namespace {

// Both kinds of connection write in the same way.
template <typename Connection>
bool write_framed(Connection& connection, bool tty, OutputStream stream, std::string_view bytes) {
  if (tty) return connection.try_write(bytes);
  auto kind =
      stream == OutputStream::kStdout ? wire::StreamKind::kStdout : wire::StreamKind::kStderr;
  return connection.try_write(wire::encode_frame(kind, bytes));
}

class WriterOutput : public ClientOutput {
 public:
  WriterOutput(StreamWriter writer, bool tty) : writer_(std::move(writer)), tty_(tty) {}
  bool try_write(OutputStream stream, std::string_view bytes) override {
    return write_framed(writer_, tty_, stream, bytes);
  }
  void when_writable(std::function<void()> ready) override {
    writer_.when_writable(std::move(ready));
  }
  void on_close(std::function<void()> gone) override { writer_.on_close(std::move(gone)); }
  bool open() const override { return writer_.open(); }
  void finish() override { writer_.finish(); }

 private:
  StreamWriter writer_;
  const bool tty_;
};

class DuplexClient : public ClientDuplex {
 public:
  DuplexClient(Duplex duplex, bool tty) : duplex_(std::move(duplex)), tty_(tty) {}
  bool try_write(OutputStream stream, std::string_view bytes) override {
    return write_framed(duplex_, tty_, stream, bytes);
  }
  void when_writable(std::function<void()> ready) override {
    duplex_.when_writable(std::move(ready));
  }
  void on_close(std::function<void()> gone) override { duplex_.on_close(std::move(gone)); }
  bool open() const override { return duplex_.open(); }
  void finish() override { duplex_.close(); }
  void read(std::function<void(std::string_view, bool)> got) override {
    duplex_.read([got = std::move(got)](Duplex::Input input) { got(input.bytes, input.end); });
  }

 private:
  Duplex duplex_;
  const bool tty_;
};

}  // namespace

Result<wire::Filters> filters_of(const Request& request) {
  return wire::decode_filters(request.query.get("filters"));
}

Result<std::chrono::milliseconds> wait_of(const Request& request, std::chrono::milliseconds usual) {
  constexpr std::chrono::milliseconds kLongestWait(60'000);
  std::string text = request.query.get("wait");
  if (text.empty()) return usual;
  auto wait = parse_go_duration(text);
  if (!wait || wait->count() < 0 || *wait > kLongestWait)
    return fail(Code::kInvalidArgument,
                "invalid value for parameter \"wait\": \"{}\" is no duration up to {} s", text,
                kLongestWait / std::chrono::seconds(1));
  return std::chrono::duration_cast<std::chrono::milliseconds>(*wait);
}

std::unique_ptr<ClientOutput> make_client_output(StreamWriter writer, bool tty) {
  return std::make_unique<WriterOutput>(std::move(writer), tty);
}

std::unique_ptr<ClientDuplex> make_client_duplex(Duplex duplex, bool tty) {
  return std::make_unique<DuplexClient>(std::move(duplex), tty);
}

archive::Source upload_source(std::shared_ptr<BodyReader> upload) {
  return [upload = std::move(upload)](char* buffer, std::size_t size) {
    return upload->read(buffer, size);
  };
}

LateStream::LateStream(Responder responder, HeaderList headers)
    : responder_(std::move(responder)),
      headers_(std::move(headers)),
      cancellation_(std::make_shared<Cancellation>()) {
  responder_.on_close([cancellation = cancellation_] { cancellation->cancel(); });
}

void LateStream::add_header(std::string name, std::string value) {
  headers_.emplace_back(std::move(name), std::move(value));
}

archive::Sink LateStream::sink() {
  return [this](std::string_view bytes) { return write(bytes); };
}

void LateStream::write_line(std::string_view json) { (void)write(std::string(json) + "\r\n"); }

Status LateStream::write(std::string_view bytes) {
  RETURN_IF_ERROR(cancellation_->check());
  if (!writer_) writer_.emplace(responder_.stream(200, headers_));
  return writer_->write(bytes);
}

void LateStream::finish(const Status& status, bool json_errors) {
  if (!status && !writer_) {
    responder_.send_error(status.error());
    return;
  }
  if (!status && !json_errors) {
    writer_.reset();
    return;
  }
  if (!status) {
    const auto& message = status.error().message;
    write_line(json::serialize(
        json::Object{{"errorDetail", json::Object{{"message", message}}}, {"error", message}}));
  }
  if (!writer_) writer_.emplace(responder_.stream(200, headers_));
  writer_->finish();
}

}  // namespace holdfast::http
