#include "storage/driver/plugin/plugin_connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <future>
#include <thread>

#include "base/file.h"
#include "base/thread_pool.h"

// Boost.Beast on an io_context of the call's own, run by the calling thread: the one expiry of the
// stream counts for every step, however many bytes come in between.
namespace holdfast {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using TimePoint = std::chrono::steady_clock::time_point;
using UnixStream = beast::basic_stream<asio::local::stream_protocol>;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

// What Docker sends, which plugins may look at.
constexpr const char* kMediaType = "application/vnd.docker.plugins.v1.2+json";
constexpr std::size_t kMaxHead = 16 << 10;
constexpr auto kCrowdPause = std::chrono::milliseconds(20);

class Exchange {
 public:
  Exchange(const PluginEndpoint& endpoint, TimePoint deadline, const Cancellation& stopping)
      : endpoint_(endpoint), deadline_(deadline), began_(std::chrono::steady_clock::now()) {
    if (auto copy = duplicate(stopping.fd())) stopped_.assign(copy->release(), ignored_);
  }

  Result<PluginAnswer> run(const std::string& path, const std::string& body) {
    http::request<http::string_body> request(http::verb::post, path, 11);
    request.set(http::field::host,
                endpoint_.socket.empty() ? endpoint_.host + ":" + endpoint_.port : "localhost");
    request.set(http::field::user_agent, "Holdfast/" HOLDFAST_VERSION);
    request.set(http::field::accept, kMediaType);
    request.set(http::field::content_type, kMediaType);
    request.set(http::field::connection, "close");
    request.body() = body;
    request.prepare_payload();
    if (!endpoint_.socket.empty()) return over_unix(request);
    return endpoint_.tls ? over_tls(request) : over_tcp(request);
  }

 private:
  using Request = http::request<http::string_body>;

  Result<PluginAnswer> over_unix(const Request& request) {
    // By descriptor: nothing is swapped underneath, and a path of any length fits.
    auto socket = open_file(endpoint_.socket, O_PATH);
    if (!socket) return unreachable(std::move(socket).error().message);
    UnixStream stream(context_);
    stream.expires_at(deadline_);
    RETURN_IF_ERROR(connect_unix(stream, fmt::format("/proc/self/fd/{}", socket->get())));
    return converse(stream, request);
  }

  // Never under way: it succeeds or fails at once. Where so many wait to be let in that there is no
  // room for more it says EAGAIN, which Asio takes for something else.
  Status connect_unix(UnixStream& stream, const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return unreachable(system_error(errno, "socket").message);
    while (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      if (errno != EAGAIN && errno != EINTR)
        return unreachable(system_error(errno, "connect").message);
      if (std::chrono::steady_clock::now() >= deadline_) return late();
      asio::steady_timer timer(context_, kCrowdPause);
      auto error = wait(
          [&](auto done) { timer.async_wait([done](const error_code& result) { done(result); }); });
      if (error) return failed_before(error, "connect");
    }
    stream.socket().assign(asio::local::stream_protocol(), socket.release(), ignored_);
    return {};
  }

  Result<PluginAnswer> over_tcp(const Request& request) {
    beast::tcp_stream stream(context_);
    RETURN_IF_ERROR(connect_tcp(stream));
    return converse(stream, request);
  }

  Result<PluginAnswer> over_tls(const Request& request) {
    asio::ssl::context tls(asio::ssl::context::tls_client);
    RETURN_IF_ERROR(set_up(tls));
    TlsStream stream(context_, tls);
    RETURN_IF_ERROR(connect_tcp(beast::get_lowest_layer(stream)));
    ::SSL_set_tlsext_host_name(stream.native_handle(), endpoint_.host.c_str());
    if (!endpoint_.tls->skip_verify) {
      stream.set_verify_mode(asio::ssl::verify_peer);
      stream.set_verify_callback(asio::ssl::host_name_verification(endpoint_.host));
    }
    auto shaken = wait([&](auto done) {
      stream.async_handshake(asio::ssl::stream_base::client,
                             [done](const error_code& error) { done(error); });
    });
    if (shaken) return failed_before(shaken, "TLS handshake");
    return converse(stream, request);
  }

  Status set_up(asio::ssl::context& tls) {
    const auto& files = *endpoint_.tls;
    error_code error;
    auto refuse = [&](const std::string& file) -> Status {
      return unreachable(fmt::format("load \"{}\": {}", file, error.message()));
    };
    ::SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
    if (files.ca.empty()) {
      tls.set_default_verify_paths(error);
    } else if (tls.load_verify_file(files.ca, error)) {
      return refuse(files.ca);
    }
    if (!files.certificate.empty() && tls.use_certificate_chain_file(files.certificate, error))
      return refuse(files.certificate);
    if (!files.key.empty() && tls.use_private_key_file(files.key, asio::ssl::context::pem, error))
      return refuse(files.key);
    return {};
  }

  Status connect_tcp(beast::tcp_stream& stream) {
    stream.expires_at(deadline_);
    ASSIGN_OR_RETURN(auto addresses, resolve());
    Status last;
    for (const auto& address : addresses) {
      last = connect(stream, address);
      if (last || last.error().code != Code::kUnavailable) return last;
    }
    return last;
  }

  // The resolver can't be called off: where it takes too long it is left to itself.
  Result<std::vector<asio::ip::tcp::endpoint>> resolve() {
    struct Answer {
      int failed = 0;
      std::vector<asio::ip::tcp::endpoint> endpoints;
    };
    auto answered = std::make_shared<std::promise<Answer>>();
    auto future = answered->get_future();
    std::thread([answered, host = endpoint_.host, port = endpoint_.port] {
      Answer answer;
      addrinfo hints = {};
      hints.ai_socktype = SOCK_STREAM;
      addrinfo* found = nullptr;
      answer.failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
      for (auto* one = answer.failed == 0 ? found : nullptr; one; one = one->ai_next) {
        asio::ip::tcp::endpoint endpoint;
        if (one->ai_addrlen > endpoint.capacity()) continue;
        std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
        endpoint.resize(one->ai_addrlen);
        answer.endpoints.push_back(endpoint);
      }
      if (found) ::freeaddrinfo(found);
      answered->set_value(std::move(answer));
    }).detach();
    if (future.wait_until(deadline_) != std::future_status::ready) return late();
    auto answer = future.get();
    if (answer.failed != 0)
      return unreachable(
          fmt::format("look up \"{}\": {}", endpoint_.host, ::gai_strerror(answer.failed)));
    return std::move(answer.endpoints);
  }

  template <typename Stream, typename Address>
  Status connect(Stream& stream, const Address& address) {
    auto error = wait([&](auto done) {
      stream.async_connect(address, [done](const error_code& result) { done(result); });
    });
    if (error) return failed_before(error, "connect");
    return {};
  }

  template <typename Stream>
  Result<PluginAnswer> converse(Stream& stream, const Request& request) {
    auto error = wait([&](auto done) {
      http::async_write(stream, request,
                        [done](const error_code& result, std::size_t) { done(result); });
    });
    // A plugin that answers before it has read everything is heard out.
    if (error && error != asio::error::broken_pipe && error != asio::error::connection_reset)
      return failed_after(error);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.header_limit(kMaxHead);
    parser.body_limit(kMaxPluginAnswer);
    error = wait([&](auto done) {
      http::async_read(stream, buffer, parser,
                       [done](const error_code& result, std::size_t) { done(result); });
    });
    if (error) return failed_after(error);
    return PluginAnswer{parser.get().result_int(), std::move(parser.get().body())};
  }

  // Runs one step to its end. What `stopping` ends is left to the destruction of the stream.
  template <typename Start>
  error_code wait(const Start& start) {
    std::optional<error_code> result;
    bool stopped = false;
    if (stopped_.is_open())
      stopped_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [&](const error_code& error) { stopped = !error; });
    start([&](const error_code& error) { result = error; });
    while (!result && !stopped) context_.run_one();
    if (result) {
      stopped_.cancel(ignored_);
    } else {
      result = asio::error::operation_aborted;
      cancelled_ = true;
      context_.stop();
      return *result;
    }
    // The wait that was called off still has to be told.
    context_.poll();
    context_.restart();
    return *result;
  }

  std::string named(const std::string& what) const {
    return fmt::format("plugin \"{}\" at {}: {}", endpoint_.name, endpoint_.address, what);
  }
  tl::unexpected<Error> unreachable(const std::string& what) const {
    return fail(Code::kUnavailable, "{}", named(what));
  }
  tl::unexpected<Error> late() const {
    auto waited = std::chrono::duration<double>(deadline_ - began_).count();
    return fail(Code::kDeadlineExceeded, "{}",
                named(fmt::format("no answer within {:.3g} s", waited)));
  }
  tl::unexpected<Error> failed_before(const error_code& error, const char* step) const {
    if (cancelled_) return fail(Code::kCancelled, "{}", named("the daemon is stopping"));
    if (error == beast::error::timeout) return late();
    return unreachable(fmt::format("{}: {}", step, error.message()));
  }
  tl::unexpected<Error> failed_after(const error_code& error) const {
    auto broken = [&](const std::string& what) { return fail(Code::kAborted, "{}", named(what)); };
    if (cancelled_) return fail(Code::kCancelled, "{}", named("the daemon is stopping"));
    if (error == beast::error::timeout) return late();
    if (error == http::error::body_limit || error == http::error::header_limit ||
        error == http::error::buffer_overflow)
      return broken("the answer is larger than 1 MiB");
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error == asio::error::connection_reset || error == asio::error::eof)
      return broken("the connection was closed before the answer was complete");
    if (error.category() == make_error_code(http::error::bad_version).category())
      return broken(fmt::format("the answer is not HTTP: {}", error.message()));
    return broken(error.message());
  }

  const PluginEndpoint& endpoint_;
  const TimePoint deadline_;
  const TimePoint began_;
  bool cancelled_ = false;
  error_code ignored_;
  asio::io_context context_{1};
  asio::posix::stream_descriptor stopped_{context_};
};

}  // namespace

Result<PluginAnswer> ask_plugin(const PluginEndpoint& endpoint, const std::string& path,
                                const std::string& body, TimePoint deadline,
                                const Cancellation& stopping) {
  ThreadPool::OutsideWait outside;
  return Exchange(endpoint, deadline, stopping).run(path, body);
}

}  // namespace holdfast
