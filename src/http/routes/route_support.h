#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/cancellation.h"
#include "engine/client_stream.h"
#include "http/body_reader.h"
#include "http/request.h"
#include "http/responder.h"
#include "storage/archive/stream.h"
#include "wire/filters.h"

// What several route files need: between HTTP's streams and the engine's.
namespace holdfast::http {

constexpr const char* kRawStream = "application/vnd.docker.raw-stream";
constexpr const char* kMultiplexedStream = "application/vnd.docker.multiplexed-stream";

// The `filters` parameter.
Result<wire::Filters> filters_of(const Request& request);

// ?wait=2s: how long sizes may be counted before the answer; a minute at most.
Result<std::chrono::milliseconds> wait_of(const Request& request, std::chrono::milliseconds usual);

// Output to a client as the engine writes it: framed by stream, or raw for a terminal.
std::unique_ptr<ClientOutput> make_client_output(StreamWriter writer, bool tty);
std::unique_ptr<ClientDuplex> make_client_duplex(Duplex duplex, bool tty);

// An upload as an archive is read from.
archive::Source upload_source(std::shared_ptr<BodyReader> upload);

// A body of unknown length whose head is sent with its first byte, so that a failure before it
// still is a proper error answer. One owner; for one thread at a time.
class LateStream {
 public:
  LateStream(Responder responder, HeaderList headers);

  archive::Sink sink();
  // A line of JSON.
  void write_line(std::string_view json);
  void add_header(std::string name, std::string value);
  // Set when the client goes away.
  const Cancellation& cancellation() const { return *cancellation_; }

  // Ends the answer. A failure before the first byte is answered as one; after it as a line of
  // Docker's progress stream
  // ({"errorDetail":…}) with `json_errors`, else the connection is cut.
  void finish(const Status& status, bool json_errors);

 private:
  Status write(std::string_view bytes);

  Responder responder_;
  HeaderList headers_;
  std::optional<StreamWriter> writer_;
  std::shared_ptr<Cancellation> cancellation_;
};

}  // namespace holdfast::http
