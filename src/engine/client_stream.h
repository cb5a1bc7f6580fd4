#pragma once

#include <functional>
#include <string_view>

#include "base/error.h"
#include "runtime/attach.h"

// What the engine needs of a client's connection, whoever provides it. Methods may be called from
// any thread; callbacks run on the event loop and must not block. Dropping the object cuts the
// connection, or for a ClientDuplex sends what is queued and closes it.
namespace holdfast {

class ClientOutput {
 public:
  virtual ~ClientOutput() = default;

  // Queues output of a container's `stream` without waiting; false, with nothing queued, when too
  // much is queued or the client is gone. How the streams are told apart on the wire is the
  // implementation's.
  [[nodiscard]] virtual bool try_write(OutputStream stream, std::string_view bytes) = 0;
  // Calls `ready` once when try_write() will accept again; not once the client is gone.
  virtual void when_writable(std::function<void()> ready) = 0;
  // Calls `gone` once if the client leaves before finish().
  virtual void on_close(std::function<void()> gone) = 0;
  virtual bool open() const = 0;
  // Ends the output properly.
  virtual void finish() = 0;
};

class ClientDuplex : public ClientOutput {
 public:
  // Calls `got` once with the next bytes, or with `end` when the client has ended its side or is
  // gone.
  virtual void read(std::function<void(std::string_view bytes, bool end)> got) = 0;
};

}  // namespace holdfast
