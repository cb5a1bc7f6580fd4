#include "http/audit_log.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "base/json.h"

namespace holdfast::http {
namespace {

TEST(AuditTarget, shows_no_secret) {
  EXPECT_EQ(redact_target("/v1.41/containers/create?name=db&platform="),
            "/v1.41/containers/create?name=db&platform=");
  EXPECT_EQ(redact_target("/build?buildargs=%7B%22TOKEN%22%3A1%7D&t=x&remote=https://u:p@h/r"),
            "/build?buildargs=***&t=x&remote=***");
  EXPECT_EQ(redact_target("/images/create?fromImage=https%3A%2F%2Fu%3Ap%40h&tag=1"),
            "/images/create?fromImage=***&tag=1");
  EXPECT_EQ(redact_target("/info"), "/info");
}

TEST(AuditLog, appends_a_line_per_request) {
  char directory[] = "/tmp/holdfast-audit-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  std::string path = std::string(directory) + "/audit.log";
  ThreadPool pool(1);
  {
    auto log = AuditLog::open(path, pool);
    ASSERT_TRUE(log) << log.error().message;
    AuditRecord record;
    record.peer.uid = 1000;
    record.peer.pid = 42;
    record.peer.address = "unix";
    record.method = "POST";
    record.status = 204;
    for (int i = 0; i < 100; ++i) {
      record.target = fmt::format("/containers/c{}/start", i);
      (*log)->record(record);
    }
    record.target = "/_ping";
    record.status = 200;
    (*log)->record(record);
    pool.stop();
  }
  std::string text = *read_file(path);
  std::vector<std::string> targets;
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    auto line = json::parse_object(text.substr(at, end - at));
    ASSERT_TRUE(line) << text.substr(at, end - at);
    EXPECT_EQ(json::int_or(*line, "uid"), 1000);
    EXPECT_EQ(json::int_or(*line, "status"), 204);
    targets.push_back(json::string_or(*line, "target"));
    at = end + 1;
  }
  ASSERT_EQ(targets.size(), 100u);
  EXPECT_EQ(targets[0], "/containers/c0/start");
  EXPECT_EQ(targets[99], "/containers/c99/start");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::rmdir(directory), 0);
}

}  // namespace
}  // namespace holdfast::http
