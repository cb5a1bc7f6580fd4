#include "storage/driver/plugin/plugin_directories.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using testing::Test;

class PluginDirectoriesTest : public Test {
 protected:
  PluginDirectoriesTest() {
    fs::create_directory(first_);
    fs::create_directory(second_);
  }
  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void make_socket(const fs::path& path) {
    fs::create_directories(path.parent_path());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path.string().size(), sizeof address.sun_path);
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  std::string address_of(const std::string& name) {
    auto found = directories_.find(name);
    return found ? found->address : found.error().message;
  }

  TemporaryDirectory directory_;
  const fs::path first_ = directory_ / "run";
  const fs::path second_ = directory_ / "etc";
  PluginDirectories directories_{{first_, directory_ / "missing", second_}};
};

TEST_F(PluginDirectoriesTest, FindsEveryForm) {
  make_socket(first_ / "one.sock");
  make_socket(first_ / "two/two.sock");
  write(second_ / "three.spec", "  tcp://localhost:8080\n");
  write(second_ / "four/four.json", R"({"Name": "other", "Addr": "https://[::1]:99"})");
  write(second_ / "five.txt", "no plugin");
  write(second_ / "six/other.spec", "tcp://localhost:1");
  write(second_ / "seven.sock", "no socket");
  EXPECT_EQ(directories_.names(), (std::vector<std::string>{"four", "one", "three", "two"}));
  EXPECT_EQ(address_of("one"), "unix://" + (first_ / "one.sock").string());
  EXPECT_EQ(address_of("two"), "unix://" + (first_ / "two/two.sock").string());
  auto three = directories_.find("three");
  ASSERT_TRUE(three);
  EXPECT_EQ(three->host + " " + three->port, "localhost 8080");
  EXPECT_FALSE(three->tls);
  auto four = directories_.find("four");
  ASSERT_TRUE(four);
  EXPECT_EQ(four->host + " " + four->port, "::1 99");
  EXPECT_TRUE(four->tls);
  EXPECT_EQ(address_of("other"), "plugin \"other\" not found");
}

TEST_F(PluginDirectoriesTest, SocketComesFirstAndAnEarlierDirectoryBeforeALater) {
  write(first_ / "both.spec", "tcp://first:1");
  write(second_ / "both.spec", "tcp://second:2");
  EXPECT_EQ(address_of("both"), "tcp://first:1");
  make_socket(second_ / "both.sock");
  EXPECT_EQ(address_of("both"), "unix://" + (second_ / "both.sock").string());
}

TEST_F(PluginDirectoriesTest, SocketMadeAnewIsAnotherServer) {
  make_socket(first_ / "one.sock");
  auto before = directories_.find("one")->identity;
  EXPECT_EQ(directories_.find("one")->identity, before);
  fs::rename(first_ / "one.sock", first_ / "kept");
  make_socket(first_ / "one.sock");
  EXPECT_NE(directories_.find("one")->identity, before);
}

TEST_F(PluginDirectoriesTest, NamesThatAreNoneFindNothing) {
  make_socket(directory_ / "secret.sock");
  for (std::string name : {"../secret", "a/b", "", ".", "..", ".hidden"})
    EXPECT_EQ(address_of(name), "plugin \"" + name + "\" not found");
  EXPECT_EQ(directories_.find(std::string("a\0b", 3)).error().code, Code::kNotFound);
  EXPECT_EQ(directories_.find(std::string(4096, 'x')).error().code, Code::kNotFound);
}

TEST_F(PluginDirectoriesTest, SaysWhichFileMakesNoSense) {
  write(second_ / "bad.json", "{");
  write(second_ / "odd.spec", "ftp://x:1");
  write(second_ / "big.spec", std::string(1 << 20, 'x'));
  for (const char* name : {"bad", "odd"}) {
    auto found = directories_.find(name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Code::kInvalidArgument);
    EXPECT_NE(found.error().message.find(second_.string()), std::string::npos)
        << found.error().message;
  }
  EXPECT_FALSE(directories_.find("big"));
}

TEST_F(PluginDirectoriesTest, FifoInPlaceOfAFileStopsNobody) {
  ASSERT_EQ(::mkfifo((second_ / "pipe.spec").c_str(), 0600), 0);
  EXPECT_EQ(address_of("pipe"), "plugin \"pipe\" not found");
}

TEST_F(PluginDirectoriesTest, TlsOfASpecification) {
  write(
      second_ / "tls.json",
      R"({"Addr": "tcp://h:1", "TLSConfig": {"CAFile": "/ca", "CertFile": "/c", "KeyFile": "/k"}})");
  auto found = directories_.find("tls");
  ASSERT_TRUE(found && found->tls);
  EXPECT_EQ(found->tls->ca + found->tls->certificate + found->tls->key, "/ca/c/k");
  EXPECT_FALSE(found->tls->skip_verify);
  write(second_ / "plain.json", R"({"Addr": "tcp://h:1", "TLSConfig": {}})");
  EXPECT_FALSE(directories_.find("plain")->tls);
  write(second_ / "skip.json",
        R"({"Addr": "https://h", "TLSConfig": {"InsecureSkipVerify": true}})");
  EXPECT_TRUE(directories_.find("skip")->tls->skip_verify);
}

TEST(PluginAddressTest, Malformed) {
  for (const char* address :
       {"", "x", "unix://relative", "tcp://", "tcp://host", "tcp://host:", "tcp://host:x",
        "tcp://host:65536", "tcp://[::1:80", "udp://host:1", "tcp://:80"})
    EXPECT_FALSE(parse_plugin_address(address)) << address;
  EXPECT_EQ(parse_plugin_address("https://host/path")->port, "443");
  EXPECT_EQ(parse_plugin_address("http://host")->port, "80");
}

}  // namespace
}  // namespace holdfast
