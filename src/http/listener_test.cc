#include "http/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/resource.h>

#include <optional>

#include "http/test_server.h"

namespace holdfast::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Listeners, refuse_what_is_no_host) {
  for (auto host : {"", "/run/x.sock", "http://x", "unix://relative", "tcp://127.0.0.1",
                    "tcp://127.0.0.1:notaport"})
    EXPECT_FALSE(open_listeners(host, "")) << host;
  EXPECT_FALSE(open_listeners("unix:///tmp/" + std::string(120, 'x'), ""));
  EXPECT_FALSE(open_listeners("unix:///tmp/holdfast-no-group", "no-such-group-here"));
  EXPECT_FALSE(file_exists("/tmp/holdfast-no-group"));
}

TEST(Listeners, want_sockets_from_the_service_manager) {
  auto none = open_listeners("fd://", "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
}

// In a child of its own, as the sockets' numbers are fixed.
void take_passed_socket() {
  UniqueFd made(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  bool ok = ::bind(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0 &&
            ::listen(made.get(), 1) == 0 && ::dup2(made.get(), 3) == 3;
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  auto listeners = open_listeners("fd://", "");
  ok = ok && listeners && listeners->size() == 1 && listeners->front().socket.get() == 3 &&
       !listeners->front().tcp && ::getenv("LISTEN_FDS") == nullptr;
  ::_exit(ok ? 0 : 1);
}

TEST(Listeners, take_the_sockets_of_the_service_manager) {
  EXPECT_EXIT(take_passed_socket(), ::testing::ExitedWithCode(0), "");
}

// ---- Out of descriptors ----

class FewDescriptors {
 public:
  // Leaves room for `count` more.
  explicit FewDescriptors(int count) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    UniqueFd lowest(::dup(0));
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(lowest.get() + count);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_ = {};
};

class DescriptorsTest : public ::testing::Test {
 protected:
  DescriptorsTest() {
    server_.router.add_simple(
        "GET", "/_ping",
        [](const Request&) -> Result<Reply> { return Reply::bytes("OK", "text/plain"); },
        {BodyKind::kSmall, Where::kLoop});
    server_.router.add(
        "GET", "/events",
        [this](Request, Responder responder) { streams_.push_back(responder.stream(200, {})); },
        {BodyKind::kSmall, Where::kLoop});
    server_.start();
  }

  std::vector<StreamWriter> streams_;
  TestServer server_;
};

TEST_F(DescriptorsTest, makes_room_by_closing_idle_connections) {
  std::vector<RawClient> idle;
  for (int i = 0; i < 20; ++i) {
    idle.push_back(server_.connect());
    ASSERT_TRUE(idle.back().ask(get("/_ping")).ends_with("OK"));
  }
  FewDescriptors few(1);
  auto client = server_.connect();
  ASSERT_TRUE(client.connected());
  EXPECT_TRUE(client.ask(get("/_ping")).ends_with("OK"));
  EXPECT_EQ(idle[0].read_to_end(), "");
  EXPECT_TRUE(idle[19].ask(get("/_ping")).ends_with("OK"));
}

TEST_F(DescriptorsTest, serves_whoever_waits_once_there_is_room) {
  std::vector<RawClient> busy;
  for (int i = 0; i < 20; ++i) {
    busy.push_back(server_.connect());
    busy.back().send(get("/events"));
    busy.back().read_until("\r\n\r\n");
  }
  FewDescriptors few(1);
  auto client = server_.connect();
  ASSERT_TRUE(client.connected());
  client.send(get("/_ping"));
  timeval soon{0, 300'000};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  EXPECT_EQ(client.receive(), "");  // waits in the backlog
  timeval later{10, 0};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &later, sizeof later);
  busy[7].close();
  EXPECT_TRUE(client.read_reply().ends_with("OK"));
}

// ---- TLS ----

struct Identity {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  ~Identity() {
    EVP_PKEY_free(key);
    X509_free(certificate);
  }
};

// A certificate for `name`, signed by `issuer`, or by itself.
std::unique_ptr<Identity> make_identity(const char* name, const Identity* issuer) {
  auto made = std::make_unique<Identity>();
  made->key = EVP_EC_gen("P-256");
  made->certificate = X509_new();
  X509* certificate = made->certificate;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), static_cast<long>(std::strlen(name)));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, made->key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate,
                       X509_get_subject_name(issuer ? issuer->certificate : certificate));
  if (!issuer) {
    X509_EXTENSION* ca = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "CA:TRUE");
    X509_add_ext(certificate, ca, -1);
    X509_EXTENSION_free(ca);
  }
  X509_sign(certificate, issuer ? issuer->key : made->key, EVP_sha256());
  return made;
}

void save(const Identity& identity, const std::string& certificate, const std::string& key) {
  BIO* out = BIO_new_file(certificate.c_str(), "w");
  PEM_write_bio_X509(out, identity.certificate);
  BIO_free(out);
  if (key.empty()) return;
  out = BIO_new_file(key.c_str(), "w");
  PEM_write_bio_PrivateKey(out, identity.key, nullptr, nullptr, 0, nullptr, nullptr);
  BIO_free(out);
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() : authority_(make_identity("authority", nullptr)) {
    auto file = [this](const char* name) { return server_.directory() + "/" + name; };
    save(*authority_, file("ca.pem"), "");
    save(*make_identity("server", authority_.get()), file("cert.pem"), file("key.pem"));
    server_.options.hosts = {"tcp://127.0.0.1:0"};
    server_.options.tls = {true, file("ca.pem"), file("cert.pem"), file("key.pem")};
    server_.router.add_simple("POST", "/echo", [](const Request& request) -> Result<Reply> {
      return Reply::bytes(request.peer.subject + ":" + request.body, "text/plain");
    });
  }
  ~TlsTest() override {
    server_.stop();
    for (auto name : {"/ca.pem", "/cert.pem", "/key.pem"})
      ::unlink((server_.directory() + name).c_str());
  }

  // What the server sends for the request; nullopt when it refuses the client.
  std::optional<std::string> ask(const Identity* client, std::string_view request) {
    auto address = server_.server->addresses().at(0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
    timeval timeout{10, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      return std::nullopt;
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                         SSL_CTX_free);
    if (client) {
      SSL_CTX_use_certificate(context.get(), client->certificate);
      SSL_CTX_use_PrivateKey(context.get(), client->key);
    }
    std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.get());
    if (SSL_connect(ssl.get()) != 1) return std::nullopt;
    SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
    std::string reply;
    char buffer[4096];
    for (int count = 0; (count = SSL_read(ssl.get(), buffer, sizeof buffer)) > 0;)
      reply.append(buffer, static_cast<std::size_t>(count));
    if (reply.empty()) return std::nullopt;
    return reply;
  }

  std::unique_ptr<Identity> authority_;
  TestServer server_;
};

TEST_F(TlsTest, serves_clients_that_the_authority_has_signed) {
  server_.start();
  auto client = make_identity("someone", authority_.get());
  std::string body(3 << 20, 'x');
  auto reply =
      ask(client.get(), fmt::format("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                    "Content-Length: {}\r\n\r\n{}",
                                    body.size(), body));
  ASSERT_TRUE(reply);
  EXPECT_THAT(*reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(reply->ends_with("\r\n\r\n/CN=someone:" + body)) << reply->size();
}

TEST_F(TlsTest, refuses_everybody_else) {
  server_.start();
  const std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
  EXPECT_FALSE(ask(nullptr, request));
  auto stranger_authority = make_identity("authority", nullptr);
  auto stranger = make_identity("someone", stranger_authority.get());
  EXPECT_FALSE(ask(stranger.get(), request));
}

TEST_F(TlsTest, names_the_file_that_is_no_key) {
  server_.options.tls.key = server_.options.tls.ca;
  auto refused =
      Server::create(server_.loop, server_.requests, server_.transfers, Router(), server_.options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("load key \"" + server_.options.tls.ca + "\""));
}

}  // namespace
}  // namespace holdfast::http
