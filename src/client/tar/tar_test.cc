#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "client/tar/tar_extract.h"
#include "client/tar/tar_reader.h"
#include "client/tar/tar_writer.h"

namespace holdfast::client {
namespace {

namespace fs = std::filesystem;

ByteSource source_of(std::string text, std::size_t step = 1000) {
  auto at = std::make_shared<std::size_t>(0);
  return [text = std::move(text), at, step](char* buffer, std::size_t size) -> Result<std::size_t> {
    std::size_t part = std::min({size, step, text.size() - *at});
    std::memcpy(buffer, text.data() + *at, part);
    *at += part;
    return part;
  };
}

class TarTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-tar-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directories(root_ / "in");
    fs::create_directories(root_ / "out");
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string pack(const fs::path& path, const std::string& name) {
    TarWriter writer(path, name);
    std::string archive;
    char buffer[777];
    while (true) {
      auto got = writer.read(buffer, sizeof buffer);
      if (!got) ADD_FAILURE() << got.error().message;
      if (!got || *got == 0) return archive;
      archive.append(buffer, *got);
    }
  }

  Status unpack(std::string archive) {
    TarReader reader(source_of(std::move(archive)));
    return extract_tar(reader, root_ / "out", [](const std::string& name) { return name; });
  }

  static std::string member(const std::string& name, char type, const std::string& link = "",
                            const std::string& contents = "") {
    TarEntry entry;
    entry.name = name;
    entry.type = type;
    entry.link = link;
    entry.size = contents.size();
    std::string text = tar_header(entry) + contents;
    text.resize((text.size() + kTarBlock - 1) / kTarBlock * kTarBlock);
    return text;
  }

  fs::path root_;
};

TEST_F(TarTest, TreesComeBackAsTheyWere) {
  fs::path in = root_ / "in";
  fs::create_directories(in / "deep/er");
  std::string long_name(180, 'n');
  std::ofstream(in / "deep/er" / long_name) << "long";
  std::ofstream(in / "big") << std::string(100'000, 'b');
  std::ofstream(in / "exact") << std::string(512, 'e');
  std::ofstream(in / "empty");
  fs::create_hard_link(in / "big", in / "link");
  fs::create_symlink("../no/where", in / "sym");
  ::chmod((in / "exact").c_str(), 0751);
  ::chmod((in / "deep").c_str(), 0555);
  auto status = unpack(pack(in, "copy"));
  ::chmod((in / "deep").c_str(), 0755);
  ASSERT_TRUE(status) << status.error().message;
  fs::path out = root_ / "out/copy";
  EXPECT_EQ(read_file(out / "deep/er" / long_name).value(), "long");
  EXPECT_EQ(read_file(out / "big").value(), std::string(100'000, 'b'));
  EXPECT_EQ(read_file(out / "exact").value(), std::string(512, 'e'));
  EXPECT_EQ(read_file(out / "empty").value(), "");
  EXPECT_EQ(fs::hard_link_count(out / "link"), 2U);
  EXPECT_EQ(fs::read_symlink(out / "sym"), "../no/where");
  struct stat info {};
  ASSERT_EQ(::stat((out / "exact").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0751U);
  ASSERT_EQ(::stat((out / "deep").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0555U);
  EXPECT_EQ(fs::last_write_time(out / "empty"), fs::last_write_time(in / "empty"));
  ::chmod((out / "deep").c_str(), 0755);
}

TEST_F(TarTest, NothingLeadsOutside) {
  fs::create_directories(root_ / "outside");
  EXPECT_FALSE(unpack(member("../outside/a", '0', "", "x")));
  EXPECT_FALSE(unpack(member("d", '2', root_ / "outside") + member("d/a", '0', "", "x")));
  EXPECT_FALSE(unpack(member("h", '1', "../outside")));
  fs::create_directory_symlink(root_ / "outside", root_ / "out/there");
  EXPECT_FALSE(unpack(member("there/a", '0', "", "x")));
  EXPECT_TRUE(fs::is_empty(root_ / "outside"));
  // A link that stands in the file's own place is replaced, not written through.
  std::ofstream(root_ / "outside/target") << "kept";
  fs::create_symlink(root_ / "outside/target", root_ / "out/f");
  ASSERT_TRUE(unpack(member("f", '0', "", "new")));
  EXPECT_EQ(read_file(root_ / "outside/target").value(), "kept");
  EXPECT_EQ(read_file(root_ / "out/f").value(), "new");
}

TEST_F(TarTest, FilesAndDirectoriesDoNotReplaceEachOther) {
  ASSERT_TRUE(unpack(member("a/b", '0', "", "x") + member("f", '0', "", "x")));
  EXPECT_FALSE(unpack(member("a", '0', "", "x")));
  EXPECT_FALSE(unpack(member("f", '5')));
}

TEST_F(TarTest, BrokenArchivesAreRefused) {
  std::string good = member("a", '0', "", "contents");
  std::string flipped = good;
  flipped[0] = 'b';
  EXPECT_FALSE(unpack(flipped));
  EXPECT_FALSE(unpack(good.substr(0, 300)));
  EXPECT_FALSE(unpack(good.substr(0, 515)));
  EXPECT_TRUE(unpack(good));
  EXPECT_TRUE(unpack(""));
}

}  // namespace
}  // namespace holdfast::client
