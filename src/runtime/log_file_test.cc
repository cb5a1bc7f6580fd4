#include "runtime/log_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <future>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr const char* kTime = "2026-01-02T03:04:05.123456789+01:00";

class LogFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-log-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/log";
    append("");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void append(const std::string& text) {
    auto file = open_file(path_, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(*file, text));
  }
  static std::string line(const std::string& bytes, const std::string& stream = "stdout",
                          const std::string& tag = "F") {
    return fmt::format("{} {} {} {}\n", kTime, stream, tag, bytes);
  }
  // What comes out from where `reader` is: "o:" or "e:" in front of each record.
  static std::string rest(LogReader& reader) {
    std::string text;
    auto end = reader.read_more([&](const LogRecord& record) {
      text += record.stream == OutputStream::kStderr ? "e:" : "o:";
      text += record.bytes;
      return true;
    });
    EXPECT_TRUE(end && *end);
    return text;
  }
  std::string tail(std::uint64_t lines) {
    auto reader = LogReader::open(path_);
    EXPECT_TRUE(reader && reader->seek_tail(lines));
    return rest(*reader);
  }

  std::string directory_;
  std::string path_;
};

TEST_F(LogFileTest, RecordsHaveTimeStreamAndBytes) {
  LogRecord record;
  std::string text = line("hello world", "stderr", "P");
  text.pop_back();
  ASSERT_TRUE(parse_log_line(text, record));
  EXPECT_EQ(to_rfc3339(record.time), "2026-01-02T02:04:05.123456789Z");
  EXPECT_EQ(record.stream, OutputStream::kStderr);
  EXPECT_TRUE(record.partial);
  EXPECT_EQ(record.bytes, "hello world");
  for (const char* bad :
       {"", "x", "2026-01-02T03:04:05Z stdout", "2026-01-02T03:04:05Z stdin F x", "now stdout F x",
        "2026-01-02T03:04:05Z stdout X x", "2026-01-02T03:04:05Z stdout F"}) {
    EXPECT_FALSE(parse_log_line(bad, record)) << bad;
  }
}

TEST_F(LogFileTest, PartialLinesAreOneLine) {
  append(line("a", "stdout", "P") + line("err", "stderr") + line("b") + line("") +
         line("no newline", "stdout", "P"));
  auto reader = LogReader::open(path_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(rest(*reader), "o:ae:err\no:b\no:\no:no newline");
}

TEST_F(LogFileTest, GoesOnWhereItStopped) {
  append(line("one"));
  auto reader = LogReader::open(path_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(rest(*reader), "o:one\n");
  EXPECT_EQ(rest(*reader), "");
  std::string next = line("two");
  append(next.substr(0, 45));  // the writer is half-way
  EXPECT_EQ(rest(*reader), "");
  append(next.substr(45));
  auto other = LogReader::open(path_);
  other->set_offset(reader->offset());
  EXPECT_EQ(rest(*reader), "o:two\n");
  EXPECT_EQ(rest(*other), "o:two\n");
}

TEST_F(LogFileTest, StopsWhenAsked) {
  append(line("1") + line("2") + line("3"));
  auto reader = LogReader::open(path_);
  auto stopped = reader->read_more([](const LogRecord&) { return false; });
  EXPECT_FALSE(*stopped);
  auto limited = reader->read_more([](const LogRecord&) { return true; }, 1);
  EXPECT_FALSE(*limited);
  EXPECT_EQ(rest(*reader), "o:3\n");
}

TEST_F(LogFileTest, WhatIsNoRecordIsLeftOut) {
  append("garbage\n\n" + line("good") + "more garbage\n");
  auto reader = LogReader::open(path_);
  EXPECT_EQ(rest(*reader), "o:good\n");
}

TEST_F(LogFileTest, TailCountsLines) {
  EXPECT_EQ(tail(5), "");
  append(line("1") + line("2", "stdout", "P") + line("2") + line("3", "stderr"));
  EXPECT_EQ(tail(0), "");
  EXPECT_EQ(tail(1), "e:3\n");
  EXPECT_EQ(tail(2), "o:2o:2\ne:3\n");
  EXPECT_EQ(tail(3), "o:1\no:2o:2\ne:3\n");
  EXPECT_EQ(tail(99), "o:1\no:2o:2\ne:3\n");
  append(line("prompt> ", "stdout", "P"));
  EXPECT_EQ(tail(1), "o:prompt> ");
  EXPECT_EQ(tail(2), "e:3\no:prompt> ");
  append("2026-01-02T03:04:05Z stdout F not whole");
  EXPECT_EQ(tail(1), "o:prompt> ");
}

TEST_F(LogFileTest, LongLinesAndFiles) {
  std::string all;
  for (int i = 0; i < 3000; ++i) all += line(fmt::format("{:0100}", i));
  std::string lengthy(200000, 'x');
  append(all + line(lengthy) + line("end"));
  EXPECT_EQ(tail(1), "o:end\n");
  EXPECT_EQ(tail(2).size(), lengthy.size() + 3 + 6);
  EXPECT_EQ(tail(2002).substr(0, 103), fmt::format("o:{:0100}\n", 1000));
  auto reader = LogReader::open(path_);
  EXPECT_EQ(rest(*reader).size(), 3000U * 103 + lengthy.size() + 3 + 6);
}

TEST_F(LogFileTest, WatchersLearnOfGrowth) {
  EventLoop loop;
  loop.start();
  std::promise<void> grown;
  auto watch = watch_log(loop, path_, [&grown] {
    grown.set_value();
    return false;
  });
  ASSERT_TRUE(watch) << watch.error().message;
  append(line("new"));
  EXPECT_EQ(grown.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_FALSE(watch_log(loop, path_ + ".missing", [] { return false; }));
  loop.stop();
}

}  // namespace
}  // namespace holdfast
