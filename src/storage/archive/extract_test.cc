#include "storage/archive/extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "os/xattr.h"
#include "storage/archive/create.h"

namespace holdfast::archive {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A tar written byte by byte (POSIX ustar), so that it may lie.
class RawTar {
 public:
  struct Fields {
    char type = '0';
    std::string link;
    unsigned mode = 0644;
    std::string content;
    std::optional<std::uint64_t> size;  // when not the content's
  };

  RawTar& add(const std::string& name, const Fields& fields) {
    char header[512] = {};
    std::strncpy(header, name.c_str(), 100);
    put(header + 100, 8, fields.mode);
    put(header + 108, 8, ::geteuid());
    put(header + 116, 8, ::getegid());
    put(header + 124, 12, fields.size.value_or(fields.content.size()));
    put(header + 136, 12, 1'000'000'000);
    header[156] = fields.type;
    std::strncpy(header + 157, fields.link.c_str(), 100);
    std::memcpy(header + 257, "ustar\00000", 8);
    std::memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    put(header + 148, 7, sum);
    bytes_.append(header, 512);
    bytes_ += fields.content;
    bytes_.append((512 - fields.content.size() % 512) % 512, '\0');
    return *this;
  }
  RawTar& directory(const std::string& name, unsigned mode = 0755) {
    return add(name, {.type = '5', .link = {}, .mode = mode, .content = {}, .size = {}});
  }
  RawTar& file(const std::string& name, const std::string& content, unsigned mode = 0644) {
    return add(name, {.type = '0', .link = {}, .mode = mode, .content = content, .size = {}});
  }
  RawTar& symlink(const std::string& name, const std::string& target) {
    return add(name, {.type = '2', .link = target, .mode = 0777, .content = {}, .size = {}});
  }
  RawTar& hard_link(const std::string& name, const std::string& target) {
    return add(name, {.type = '1', .link = target, .mode = 0644, .content = {}, .size = {}});
  }
  // Pax records for the next member.
  RawTar& pax(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string body;
    for (const auto& [key, value] : records) {
      std::size_t rest = key.size() + value.size() + 3;
      std::size_t length = rest + std::to_string(rest).size();
      length = rest + std::to_string(length).size();
      body += fmt::format("{} {}={}\n", length, key, value);
    }
    return add("pax", {.type = 'x', .link = {}, .mode = 0644, .content = body, .size = {}});
  }
  std::string str() const { return bytes_ + std::string(1024, '\0'); }
  const std::string& unfinished() const { return bytes_; }

 private:
  static void put(char* at, std::size_t width, std::uint64_t value) {
    std::string digits = fmt::format("{:0{}o}", value, width - 1);
    std::memcpy(at, digits.data(), width - 1);
  }
  std::string bytes_;
};

std::string compressed(const std::string& bytes, int filter) {
  struct ::archive* handle = ::archive_write_new();
  ::archive_write_set_format_raw(handle);
  ::archive_write_add_filter(handle, filter);
  std::string out(bytes.size() + (1 << 20), '\0');
  std::size_t used = 0;
  ::archive_write_open_memory(handle, out.data(), out.size(), &used);
  struct ::archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_write_header(handle, entry);
  ::archive_write_data(handle, bytes.data(), bytes.size());
  ::archive_write_close(handle);
  ::archive_entry_free(entry);
  ::archive_write_free(handle);
  out.resize(used);
  return out;
}

// root/ is unpacked into; outside/ has a canary that nothing may touch.
class ExtractTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-extract-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    top_ = name;
    fs::create_directories(top_ + "/root");
    fs::create_directories(top_ + "/outside");
    ASSERT_TRUE(write_file_atomic(top_ + "/outside/canary", "alive", 0640, false));
    root_ = *open_file(top_ + "/root", O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    EXPECT_EQ(read_file(top_ + "/outside/canary").value_or("gone"), "alive");
    struct stat status = {};
    ::stat((top_ + "/outside/canary").c_str(), &status);
    EXPECT_EQ(status.st_mode & 07777, 0640U);
    EXPECT_EQ(status.st_nlink, 1U);
    auto names = [](const std::string& path) {
      std::vector<std::string> found;
      for (const auto& entry : fs::directory_iterator(path))
        found.push_back(entry.path().filename());
      return found;
    };
    EXPECT_THAT(names(top_ + "/outside"), ElementsAre("canary"));
    EXPECT_EQ(names(top_).size(), 2U);
    fs::remove_all(top_);
  }

  Result<Extracted> extract_bytes(const std::string& bytes, const ExtractOptions& options = {},
                                  const std::string& path = {}) {
    return extract(read_from(std::string_view(bytes)), root_, path, options);
  }
  std::string at(const std::string& path) const { return top_ + "/root/" + path; }
  std::string content(const std::string& path) const {
    return read_file(at(path)).value_or("<none>");
  }
  unsigned mode(const std::string& path) const {
    struct stat status = {};
    return ::lstat(at(path).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }

  std::string top_;
  UniqueFd root_;
};

TEST_F(ExtractTest, KeepsWhatTarCanSay) {
  RawTar tar;
  tar.directory("d/", 02750)
      .file("d/f", "hello", 04711)
      .symlink("d/s", "../x")
      .hard_link("h", "d/f");
  tar.add("d/fifo", {.type = '6', .link = {}, .mode = 0622, .content = {}, .size = {}});
  auto extracted = extract_bytes(tar.str());
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_EQ(content("h"), "hello");
  EXPECT_EQ(mode("d"), 02750U);
  EXPECT_EQ(mode("d/f"), 04711U);
  EXPECT_EQ(mode("d/fifo"), 0622U);
  EXPECT_EQ(fs::read_symlink(at("d/s")), "../x");
  EXPECT_TRUE(fs::equivalent(at("h"), at("d/f")));
  EXPECT_EQ(extracted->bytes, 5U + 4U);
  for (auto path : {"d", "d/f", "d/s", "d/fifo"}) {
    struct stat status = {};
    ASSERT_EQ(::lstat(at(path).c_str(), &status), 0);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000) << path;
  }
}

TEST_F(ExtractTest, EveryCompressionInThisProcess) {
  RawTar tar;
  tar.file("f", std::string(300'000, 'x'));
  // Were a program run for it, it would be one of these.
  ::setenv("PATH", (top_ + "/outside").c_str(), 1);
  ExtractOptions options;
  options.digest = true;
  for (int filter : {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2,
                     ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD}) {
    auto extracted = extract_bytes(compressed(tar.str(), filter), options);
    ASSERT_TRUE(extracted) << filter << ": " << extracted.error().message;
    EXPECT_EQ(extracted->diff_id, "sha256:" + sha256_hex(tar.str())) << filter;
    EXPECT_EQ(content("f").size(), 300'000U);
  }
}

TEST_F(ExtractTest, DigestCoversPaddingAfterTheEnd) {
  RawTar tar;
  tar.file("f", "x");
  std::string padded = tar.str() + std::string(100'000, '\0');
  ExtractOptions options;
  options.digest = true;
  EXPECT_EQ(extract_bytes(padded, options)->diff_id, "sha256:" + sha256_hex(padded));
}

// Names of pax headers stay the bytes they are: these two are one in NFC, the third is no UTF-8.
TEST_F(ExtractTest, NamesAreNotNormalised) {
  for (std::string name :
       std::initializer_list<const char*>{"cafe\xcc\x81", "caf\xc3\xa9", "latin\xe9"})
    ASSERT_TRUE(extract_bytes(RawTar().pax({{"path", name}}).file("x", name).str()));
  for (std::string name :
       std::initializer_list<const char*>{"cafe\xcc\x81", "caf\xc3\xa9", "latin\xe9"})
    EXPECT_EQ(content(name), name);
  std::string link = "to cafe\xcc\x81";
  ASSERT_TRUE(extract_bytes(RawTar().pax({{"linkpath", link}}).symlink("l", "x").str()));
  EXPECT_EQ(fs::read_symlink(at("l")).string(), link);
}

TEST_F(ExtractTest, ClimbingOutIsRefused) {
  for (std::string name :
       std::initializer_list<const char*>{"../evil", "a/../../evil", "/../evil", "..", "a/../.."}) {
    auto extracted = extract_bytes(RawTar().file(name, "evil").str());
    ASSERT_FALSE(extracted) << name;
    EXPECT_EQ(extracted.error().code, Code::kInvalidArgument) << name;
  }
  ASSERT_FALSE(extract_bytes(RawTar().hard_link("h", "../outside/canary").str()));
  // Absolute names lie inside.
  ASSERT_TRUE(extract_bytes(RawTar().file("/etc/passwd", "mine").str()));
  EXPECT_EQ(content("etc/passwd"), "mine");
}

TEST_F(ExtractTest, SymlinkParentsStayInside) {
  std::string outside = top_ + "/outside";
  for (const std::string& target : {outside, std::string("../outside"), std::string("/../outside"),
                                    std::string("/proc/self/root") + outside}) {
    fs::remove_all(at("link"));
    auto extracted =
        extract_bytes(RawTar().symlink("link", target).file("link/evil", "evil").str());
    // Either refused or made beneath the root; TearDown looks at what is outside.
    if (extracted) {
      EXPECT_EQ(content("link/evil"), "<none>") << target;
    }
  }
}

TEST_F(ExtractTest, TwoHopSymlinks) {
  auto extracted = extract_bytes(RawTar()
                                     .directory("a/")
                                     .symlink("a/b", "..")
                                     .symlink("c", "a/b/../../outside")
                                     .file("c/evil", "evil")
                                     .str());
  if (extracted) {
    EXPECT_EQ(content("outside/evil"), "evil");
  }
}

TEST_F(ExtractTest, HardLinkThroughSymlink) {
  auto parent = extract_bytes(
      RawTar().symlink("link", top_ + "/outside").hard_link("h", "link/canary").str());
  EXPECT_FALSE(parent);
  // A hard link to a symlink is one to the symlink itself.
  ASSERT_TRUE(extract_bytes(
      RawTar().symlink("s", top_ + "/outside/canary").hard_link("h", "s").file("h", "evil").str()));
  EXPECT_EQ(content("h"), "evil");
}

TEST_F(ExtractTest, FileOverSymlinkReplacesIt) {
  ASSERT_TRUE(
      extract_bytes(RawTar().symlink("f", top_ + "/outside/canary").file("f", "evil", 0777).str()));
  EXPECT_EQ(content("f"), "evil");
  EXPECT_FALSE(fs::is_symlink(at("f")));
}

TEST_F(ExtractTest, SymlinkThenDirectoryOfTheSameName) {
  struct stat before = {};
  ::stat((top_ + "/outside").c_str(), &before);
  ASSERT_TRUE(extract_bytes(
      RawTar().symlink("d", top_ + "/outside").directory("d/", 04777).file("d/f", "x").str()));
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(at("d"))));
  // And the other way round: the directory's late mode must not follow what replaced it.
  ASSERT_TRUE(extract_bytes(RawTar().directory("e/", 04777).symlink("e", top_ + "/outside").str()));
  EXPECT_TRUE(fs::is_symlink(at("e")));
  struct stat after = {};
  ::stat((top_ + "/outside").c_str(), &after);
  EXPECT_EQ(before.st_mode, after.st_mode);
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
}

TEST_F(ExtractTest, SiblingPrefix) {
  fs::create_directories(at("dir"));
  fs::create_directories(at("dir2"));
  ASSERT_FALSE(extract_bytes(RawTar().file("../dir2/evil", "evil").str(), {}, "dir"));
  EXPECT_EQ(content("dir2/evil"), "<none>");
}

TEST_F(ExtractTest, DestinationIsResolvedInsideTheRoot) {
  fs::create_symlink(top_ + "/outside", at("door"));
  auto extracted = extract_bytes(RawTar().file("evil", "evil").str(), {}, "door");
  if (extracted) {
    EXPECT_EQ(content("door/evil"), "<none>");
  }
}

TEST_F(ExtractTest, LyingSizes) {
  for (std::uint64_t size : {std::uint64_t{1} << 32, std::uint64_t{077777777777}}) {
    auto extracted = extract_bytes(
        RawTar()
            .add("f", {.type = '0', .link = {}, .mode = 0644, .content = "short", .size = size})
            .str());
    EXPECT_FALSE(extracted);
  }
  auto huge = extract_bytes(RawTar().pax({{"size", "18446744073709551615"}}).file("f", "x").str());
  EXPECT_FALSE(huge);
  auto cut = extract_bytes(RawTar().file("f", std::string(2000, 'x')).str().substr(0, 1200));
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().message, HasSubstr("unexpected EOF"));
}

TEST_F(ExtractTest, GarbageIsNoArchive) {
  auto extracted = extract_bytes(std::string(4096, 'g'));
  ASSERT_FALSE(extracted);
  EXPECT_THAT(extracted.error().message, HasSubstr("invalid tar header"));
  EXPECT_TRUE(extract_bytes(""));
  EXPECT_TRUE(extract_bytes(std::string(1024, '\0')));
}

TEST_F(ExtractTest, BombsAreDefused) {
  ExtractOptions options;
  options.limits.bytes = 10 << 20;
  RawTar tar;
  tar.file("zeros", std::string(64 << 20, '\0'));
  auto extracted = extract_bytes(compressed(tar.str(), ARCHIVE_FILTER_GZIP), options);
  ASSERT_FALSE(extracted);
  EXPECT_EQ(extracted.error().code, Code::kInvalidArgument);

  ExtractOptions ratio;
  ratio.limits.ratio = 100;
  ratio.limits.ratio_from = 1 << 20;
  auto inflated = extract_bytes(compressed(tar.str(), ARCHIVE_FILTER_ZSTD), ratio);
  ASSERT_FALSE(inflated);
  EXPECT_THAT(inflated.error().message, HasSubstr("inflates to more than 100 times"));
}

TEST_F(ExtractTest, EndlessPadding) {
  ExtractOptions options;
  options.limits.bytes = 1 << 20;
  options.digest = true;
  std::string start = RawTar().file("f", "x").str();
  std::size_t given = 0;
  auto endless = [&](char* buffer, std::size_t size) -> Result<std::size_t> {
    std::memset(buffer, 0, size);
    if (given < start.size()) {
      size = std::min(size, start.size() - given);
      std::memcpy(buffer, start.data() + given, size);
    }
    given += size;
    return size;
  };
  auto extracted = extract(endless, root_, {}, options);
  ASSERT_FALSE(extracted);
  EXPECT_THAT(extracted.error().message, HasSubstr("limit"));
}

TEST_F(ExtractTest, TooManyEntries) {
  ExtractOptions options;
  options.limits.entries = 10;
  RawTar tar;
  for (int i = 0; i < 20; ++i) tar.file(fmt::format("f{}", i), "");
  auto extracted = extract_bytes(tar.str(), options);
  ASSERT_FALSE(extracted);
  EXPECT_EQ(extracted.error().message, "archive has more than 10 entries");
}

TEST_F(ExtractTest, TooDeep) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "d/";
  auto extracted = extract_bytes(RawTar().pax({{"path", deep + "f"}}).file("x", "x").str());
  ASSERT_FALSE(extracted);
  EXPECT_THAT(extracted.error().message, HasSubstr("too long"));
  // As deep as a path may be works, and so does removing it.
  std::string allowed;
  for (int i = 0; i < 2000; ++i) allowed += "d/";
  ASSERT_TRUE(extract_bytes(RawTar().pax({{"path", allowed + "f"}}).file("x", "x").str()));
  ASSERT_TRUE(extract_bytes(RawTar().file("d", "flat").str()));
  EXPECT_EQ(content("d"), "flat");
}

TEST_F(ExtractTest, HugeHolesTakeNoSpace) {
  std::string size = std::to_string(std::uint64_t{100} << 30);
  auto extracted = extract_bytes(RawTar()
                                     .pax({{"GNU.sparse.major", "1"},
                                           {"GNU.sparse.minor", "0"},
                                           {"GNU.sparse.name", "sparse"},
                                           {"GNU.sparse.realsize", size}})
                                     .file("x", "0\n" + std::string(510, '\0'))
                                     .str());
  ASSERT_TRUE(extracted) << extracted.error().message;
  struct stat status = {};
  ASSERT_EQ(::stat(at("sparse").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, off_t{100} << 30);
  EXPECT_LT(status.st_blocks, 1000);
}

TEST_F(ExtractTest, DevicesWhereTheyAreNotAllowed) {
  ExtractOptions options;
  options.devices = false;
  auto extracted = extract_bytes(
      RawTar()
          .add("null", {.type = '3', .link = {}, .mode = 0666, .content = {}, .size = {}})
          .str(),
      options);
  ASSERT_FALSE(extracted);
  EXPECT_FALSE(fs::exists(at("null")));
}

TEST_F(ExtractTest, TrustedXattrsAreDropped) {
  auto extracted = extract_bytes(
      RawTar()
          .pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"}, {"SCHILY.xattr.user.kept", "yes"}})
          .directory("d/")
          .str());
  ASSERT_TRUE(extracted) << extracted.error().message;
  auto directory = open_file(at("d"), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(read_xattr(*directory, {}, "trusted.overlay.opaque")->value_or("none"), "none");
  EXPECT_EQ(read_xattr(*directory, {}, "user.kept")->value_or("none"), "yes");
}

TEST_F(ExtractTest, DefaultAclsAreNotInheritedByWhatTheArchiveHas) {
  // posix_acl_xattr.h: version 2; then tag, permissions, id of owner, group and others.
  const std::string acl(
      "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x00\0\xff\xff\xff\xff \0\x00\0\xff\xff\xff\xff",
      28);
  auto extracted = extract_bytes(RawTar()
                                     .pax({{"SCHILY.xattr.system.posix_acl_default", acl}})
                                     .directory("d/")
                                     .directory("d/below/")
                                     .file("d/file", "x")
                                     .str());
  ASSERT_TRUE(extracted) << extracted.error().message;
  auto directory = open_file(at("d"), O_RDONLY | O_DIRECTORY);
  auto set = read_xattr(*directory, {}, "system.posix_acl_default");
  if (!set) GTEST_SKIP() << "no ACLs here";
  EXPECT_EQ(set->value_or("none"), acl);
  EXPECT_EQ(read_xattr(*directory, "below", "system.posix_acl_default")->value_or("none"), "none");
  EXPECT_EQ(fs::status(at("d/file")).permissions(), fs::perms(0644));
}

TEST_F(ExtractTest, OwnersThatDoNotFit) {
  auto extracted = extract_bytes(RawTar().pax({{"uid", "4294967295"}}).file("f", "x").str());
  ASSERT_FALSE(extracted);
  EXPECT_THAT(extracted.error().message, HasSubstr("out of range"));
}

TEST_F(ExtractTest, NoOverwriteDirNonDir) {
  ExtractOptions options;
  options.no_overwrite_dir_non_dir = true;
  fs::create_directories(at("d"));
  ASSERT_TRUE(write_file_atomic(at("f"), "old", 0644, false));
  auto file = extract_bytes(RawTar().file("d", "x").str(), options);
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("cannot overwrite directory"));
  auto directory = extract_bytes(RawTar().directory("f/").str(), options);
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message, HasSubstr("cannot overwrite non-directory"));
  EXPECT_EQ(content("f"), "old");
}

TEST_F(ExtractTest, WhiteoutsThatNameNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "whiteouts are devices";
  ExtractOptions options;
  options.overlay_whiteouts = true;
  for (std::string name : std::initializer_list<const char*>{".wh.", ".wh...", ".wh.."})
    EXPECT_FALSE(extract_bytes(RawTar().file(name, "").str(), options)) << name;
  auto extracted = extract_bytes(RawTar()
                                     .file("a/.wh.gone", "")
                                     .file("a/.wh..wh..opq", "")
                                     .file("a/.wh..wh.plnk", "")
                                     .file(".wh.back", "")
                                     .directory("back/")
                                     .str(),
                                 options);
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_THAT(extracted->implied_directories, ElementsAre("a"));
  struct stat status = {};
  ASSERT_EQ(::lstat(at("a/gone").c_str(), &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode) && status.st_rdev == 0);
  EXPECT_FALSE(fs::exists(fs::symlink_status(at("a/.wh..wh..opq"))));
  for (auto path : {"a", "back"}) {
    auto directory = open_file(at(path), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(read_xattr(*directory, {}, "trusted.overlay.opaque")->value_or("none"), "y") << path;
  }
}

TEST_F(ExtractTest, SourceErrorsArePassedOn) {
  auto broken = [](char*, std::size_t) -> Result<std::size_t> {
    return fail(Code::kCancelled, "context canceled");
  };
  auto extracted = extract(broken, root_, {}, {});
  ASSERT_FALSE(extracted);
  EXPECT_EQ(extracted.error().code, Code::kCancelled);
}

// What create() writes, extract() makes again.
class RoundTripTest : public ExtractTest {
 protected:
  Result<std::string> tar_of(const std::string& path, const CreateOptions& options = {}) {
    std::string bytes;
    auto created = create(root_, path, options, [&](std::string_view part) -> Status {
      bytes.append(part);
      return {};
    });
    if (!created) return tl::unexpected(created.error());
    return bytes;
  }
  static CreateOptions named(const std::string& name) {
    CreateOptions options;
    options.name = name;
    return options;
  }
  static CreateOptions without(const std::string& path) {
    CreateOptions options;
    options.exclude = {path};
    return options;
  }
  std::vector<std::string> names_in(const std::string& bytes) {
    std::vector<std::string> names;
    struct ::archive* handle = ::archive_read_new();
    ::archive_read_support_format_tar(handle);
    ::archive_read_open_memory(handle, bytes.data(), bytes.size());
    struct ::archive_entry* entry = nullptr;
    while (::archive_read_next_header(handle, &entry) == ARCHIVE_OK)
      names.push_back(::archive_entry_pathname(entry));
    ::archive_read_free(handle);
    return names;
  }
};

TEST_F(RoundTripTest, KeepsEverything) {
  RawTar tar;
  tar.directory("from/", 0700).directory("from/d/", 02751).file("from/d/f", "hello", 04755);
  tar.hard_link("from/h", "from/d/f").symlink("from/s", "/nowhere");
  tar.pax({{"path", "from/cafe\xcc\x81"}, {"SCHILY.xattr.user.a", std::string("b\0c", 3)}});
  tar.file("x", "odd");
  tar.pax({{"path", "from/latin\xe9"}}).file("x", "odd");
  tar.pax({{"path", "from/" + std::string(200, 'n')}}).file("x", "long");
  ASSERT_TRUE(extract_bytes(tar.str()));
  {
    auto sparse = open_file(at("from/sparse"), O_WRONLY | O_CREAT, 0600);
    ASSERT_EQ(::pwrite(sparse->get(), "end", 3, off_t{8} << 30), 3);
  }
  auto bytes = tar_of("from");
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_LT(bytes->size(), 1U << 20);
  fs::create_directories(at("to"));
  auto extracted = extract_bytes(*bytes, {}, "to");
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_EQ(content("to/d/f"), "hello");
  EXPECT_EQ(mode("to/d/f"), 04755U);
  EXPECT_EQ(mode("to/d"), 02751U);
  EXPECT_TRUE(fs::equivalent(at("to/h"), at("to/d/f")));
  EXPECT_EQ(fs::read_symlink(at("to/s")), "/nowhere");
  EXPECT_EQ(content("to/cafe\xcc\x81"), "odd");
  EXPECT_EQ(content("to/latin\xe9"), "odd");
  EXPECT_EQ(content("to/" + std::string(200, 'n')), "long");
  auto file = open_file(at("to/cafe\xcc\x81"), O_RDONLY);
  EXPECT_EQ(read_xattr(*file, {}, "user.a")->value_or("none"), std::string("b\0c", 3));
  EXPECT_EQ(fs::file_size(at("to/sparse")), (std::uint64_t{8} << 30) + 3);
}

TEST_F(RoundTripTest, NamesAsDockerMakesThem) {
  ASSERT_TRUE(extract_bytes(RawTar().file("d/b", "").file("d/a/x", "").file("f", "").str()));
  EXPECT_THAT(names_in(*tar_of("d")), ElementsAre("a/", "a/x", "b"));
  EXPECT_THAT(names_in(*tar_of("d", named("d"))), ElementsAre("d/", "d/a/", "d/a/x", "d/b"));
  EXPECT_THAT(names_in(*tar_of("f", named("g"))), ElementsAre("g"));
  EXPECT_THAT(names_in(*tar_of("/", without("d/a"))), ElementsAre("d/", "d/b", "f"));
  EXPECT_EQ(tar_of("nope").error().code, Code::kNotFound);
}

TEST_F(RoundTripTest, FollowsNoSymlinkOut) {
  fs::create_symlink(top_ + "/outside", at("door"));
  auto link = tar_of("door");
  ASSERT_TRUE(link);
  EXPECT_THAT(names_in(*link), ElementsAre("door"));
  auto through = tar_of("door/canary");
  EXPECT_FALSE(through);
}

TEST_F(RoundTripTest, StopsWhenToldTo) {
  ASSERT_TRUE(extract_bytes(RawTar().file("f", "x").str()));
  Cancellation cancellation;
  cancellation.cancel();
  CreateOptions options;
  options.cancellation = &cancellation;
  auto cancelled = tar_of("/", options);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Code::kCancelled);
  auto refused = create(root_, "/", {}, [](std::string_view) -> Status {
    return fail(Code::kUnavailable, "client has gone");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "client has gone");
}

TEST_F(RoundTripTest, UnfinishedArchivesAreCutShort) {
  std::string bytes;
  {
    Writer writer([&](std::string_view part) -> Status {
      bytes.append(part);
      return {};
    });
    ASSERT_TRUE(writer.file("f", "x", 0));
  }
  EXPECT_LT(bytes.size(), 2048U);
}

TEST_F(RoundTripTest, OverlayUpperBecomesALayer) {
  if (::geteuid() != 0) GTEST_SKIP() << "whiteouts are devices";
  ExtractOptions options;
  options.overlay_whiteouts = true;
  std::string layer = RawTar().directory("d/").file("d/.wh..wh..opq", "").file("d/.wh.x", "").str();
  ASSERT_TRUE(extract_bytes(layer, options));
  CreateOptions upper;
  upper.overlay_upper = true;
  EXPECT_THAT(names_in(*tar_of("/", upper)), ElementsAre("d/", "d/.wh..wh..opq", "d/.wh.x"));
}

}  // namespace
}  // namespace holdfast::archive
