#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/unique_fd.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast::http {

// One connected socket, plain or under TLS, driven by the event loop: only for the loop's thread,
// all callbacks come on it. Shared by its connection and the waits under way; close() ends these
// without calling back.
class Transport : public std::enable_shared_from_this<Transport> {
 public:
  enum class End {
    kNone,
    kHalf,  // the peer sends no more, but may still read
    kGone,  // the peer has closed, or the connection broke
  };
  // Bytes are valid during the call only; with an `end`, there are none.
  using ReadCallback = std::function<void(std::string_view bytes, End end)>;
  enum class Written { kDone, kWaiting, kFailed };

  static std::shared_ptr<Transport> plain(EventLoop& loop, UniqueFd socket);
  // The handshake is made by the first reads and writes. Fails only out of memory.
  static Result<std::shared_ptr<Transport>> tls(EventLoop& loop, UniqueFd socket, SSL_CTX* context);

  virtual ~Transport() = default;

  // Overwrites what reads have left in the memory they share.
  static void forget_input();

  // Calls `got` once, never from within. One read at a time.
  virtual void read(ReadCallback got) = 0;
  // Writes all of `bytes`, which must stay where they are: at once (kDone, kFailed), or when the
  // peer takes them (kWaiting), calling `written` then. One write at a time.
  virtual Written write(std::string_view bytes, std::function<void(bool)> written) = 0;
  // Calls `gone` once when both directions are closed. Under TLS and TCP a peer that closes is
  // noticed by reads and writes only.
  virtual void watch_hangup(std::function<void()> gone) = 0;
  // Whether received bytes wait to be read.
  virtual bool has_input() const = 0;
  virtual void shutdown_write() = 0;
  virtual void close() = 0;
  // The subject of the certificate the peer has proved to own; empty on plain sockets.
  virtual std::string peer_subject() const { return {}; }
};

// A listening socket on the loop, with the same rules.
class Acceptor {
 public:
  // Calls `ready` for each arrival; it answers whether to go on at once (true) or to pause a
  // moment, because descriptors have run out.
  static std::shared_ptr<Acceptor> create(EventLoop& loop, UniqueFd socket,
                                          std::function<bool(BorrowedFd)> ready);
  virtual ~Acceptor() = default;
  virtual void start() = 0;
  virtual void close() = 0;
};

}  // namespace holdfast::http
