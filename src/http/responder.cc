#include "http/responder.h"

#include "http/error_status.h"
#include "http/exchange.h"

namespace holdfast::http {

Reply Reply::json(const json::Value& value, int status) {
  return Reply{status, {{"Content-Type", "application/json"}}, json::serialize(value) + "\n"};
}

Reply Reply::bytes(std::string body, std::string content_type, int status) {
  return Reply{status, {{"Content-Type", std::move(content_type)}}, std::move(body)};
}

Reply Reply::error(const Error& error) {
  return json(json::Object{{"message", error.message}}, http_status(error.code));
}

StreamWriter& StreamWriter::operator=(StreamWriter&& other) noexcept {
  if (this != &other) {
    if (exchange_) exchange_->drop_stream();
    exchange_ = std::move(other.exchange_);
  }
  return *this;
}

StreamWriter::~StreamWriter() {
  if (exchange_) exchange_->drop_stream();
}

Status StreamWriter::write(std::string_view bytes) { return exchange_->write(bytes); }
bool StreamWriter::try_write(std::string_view bytes) { return exchange_->try_write(bytes); }
void StreamWriter::when_writable(std::function<void()> ready) {
  exchange_->when_writable(std::move(ready));
}
void StreamWriter::on_close(std::function<void()> gone) { exchange_->on_close(std::move(gone)); }
bool StreamWriter::open() const { return exchange_->open(); }
void StreamWriter::finish() { exchange_->finish(); }

Duplex& Duplex::operator=(Duplex&& other) noexcept {
  if (this != &other) {
    if (exchange_) exchange_->close();
    exchange_ = std::move(other.exchange_);
  }
  return *this;
}

Duplex::~Duplex() {
  if (exchange_) exchange_->close();
}

void Duplex::read(std::function<void(Input)> got) { exchange_->read(std::move(got)); }
Status Duplex::write(std::string_view bytes) { return exchange_->write(bytes); }
bool Duplex::try_write(std::string_view bytes) { return exchange_->try_write(bytes); }
void Duplex::when_writable(std::function<void()> ready) {
  exchange_->when_writable(std::move(ready));
}
void Duplex::on_close(std::function<void()> gone) { exchange_->on_close(std::move(gone)); }
bool Duplex::open() const { return exchange_->open(); }
void Duplex::shutdown_write() { exchange_->shutdown_write(); }
void Duplex::close() { exchange_->close(); }

Responder::~Responder() {
  if (exchange_) exchange_->drop_responder();
}

void Responder::send(Reply reply) { std::exchange(exchange_, nullptr)->send(std::move(reply)); }

void Responder::send(const Status& status) {
  send(status ? Reply::empty() : Reply::error(status.error()));
}

StreamWriter Responder::stream(int status, HeaderList headers) {
  auto exchange = std::exchange(exchange_, nullptr);
  exchange->begin_stream(status, std::move(headers));
  return StreamWriter(std::move(exchange));
}

Duplex Responder::hijack(std::string content_type) {
  auto exchange = std::exchange(exchange_, nullptr);
  exchange->begin_hijack(std::move(content_type));
  return Duplex(std::move(exchange));
}

void Responder::on_close(std::function<void()> gone) { exchange_->on_close(std::move(gone)); }

void Responder::annotate(std::string key, std::string value) {
  exchange_->annotate(std::move(key), std::move(value));
}

}  // namespace holdfast::http
