#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/file.h"
#include "client/connection.h"

namespace holdfast::client {
namespace {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;

tl::unexpected<Error> tls_failure(std::string_view context) {
  char text[256] = "connection closed";
  if (auto number = ERR_get_error(); number != 0) ERR_error_string_n(number, text, sizeof text);
  ERR_clear_error();
  return fail(Code::kUnavailable, "{}: {}", context, text);
}

class TlsConnection final : public Connection {
 public:
  TlsConnection(UniqueFd socket, ContextPtr context, SslPtr ssl)
      : socket_(std::move(socket)), context_(std::move(context)), ssl_(std::move(ssl)) {}

  Result<std::size_t> read(char* buffer, std::size_t size) override {
    std::size_t got = 0;
    if (SSL_read_ex(ssl_.get(), buffer, size, &got) == 1) return got;
    int reason = SSL_get_error(ssl_.get(), 0);
    if (reason == SSL_ERROR_ZERO_RETURN || reason == SSL_ERROR_SYSCALL) return std::size_t{0};
    return tls_failure("read from daemon");
  }

  Status write(std::string_view bytes) override {
    std::size_t sent = 0;
    if (bytes.empty()) return {};
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) != 1)
      return tls_failure("write to daemon");
    return {};
  }

  // A socket that polls writable has room for a small record.
  Result<std::size_t> write_some(std::string_view bytes) override {
    auto part = bytes.substr(0, 4096);
    RETURN_IF_ERROR(write(part));
    return part.size();
  }

  Status close_write() override {
    SSL_shutdown(ssl_.get());
    return {};
  }

  BorrowedFd fd() const override { return socket_; }
  bool pending() const override { return SSL_pending(ssl_.get()) > 0; }

 private:
  UniqueFd socket_;
  ContextPtr context_;
  SslPtr ssl_;
};

Result<ContextPtr> make_context(const TlsFiles& files) {
  ContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return tls_failure("start TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (files.verify) {
    if (SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr) != 1)
      return tls_failure(fmt::format("could not read CA certificate \"{}\"", files.ca));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  if (!file_exists(files.certificate) && !file_exists(files.key)) return context;
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return tls_failure(
        fmt::format("could not load X509 key pair \"{}\", \"{}\"", files.certificate, files.key));
  }
  return context;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

Result<std::unique_ptr<Connection>> start_tls(UniqueFd socket, const std::string& host,
                                              const TlsFiles& files) {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  ASSIGN_OR_RETURN(auto context, make_context(files));
  SslPtr ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) return tls_failure("start TLS");
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl.get());
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(expected, host.c_str(), 0);
    SSL_set_tlsext_host_name(ssl.get(), host.c_str());
  }
  if (SSL_connect(ssl.get()) != 1) return tls_failure("TLS handshake with the daemon");
  return std::make_unique<TlsConnection>(std::move(socket), std::move(context), std::move(ssl));
}

}  // namespace holdfast::client
