#include "engine/mounts/mount_words.h"

#include <gtest/gtest.h>

#include <array>

#include "base/text.h"

namespace holdfast {
namespace {

MountPoint of_type(MountType type) {
  MountPoint mount;
  mount.type = type;
  return mount;
}

std::string refusal(MountType type, const std::string& words) {
  auto mount = of_type(type);
  auto status = apply_mount_words(split(words, ','), mount);
  return status ? "" : status.error().message;
}

struct Row {
  const char* word;
  const char* types;  // b: bind, v: volume, i: image
  const char* group;
};

constexpr Row kRows[] = {
    {"ro", "bvi", "write"},
    {"rw", "bv", "write"},
    {"rro", "bv", "write"},
    {"z", "bv", "label"},
    {"Z", "bv", "label"},
    {"copy", "bv", "copy"},
    {"nocopy", "v", "copy"},
    {"nocreate", "bv", "create"},
    {"private", "b", "spread"},
    {"rprivate", "b", "spread"},
    {"shared", "b", "spread"},
    {"rshared", "b", "spread"},
    {"slave", "b", "spread"},
    {"rslave", "b", "spread"},
    {"unbindable", "b", "spread"},
    {"runbindable", "b", "spread"},
    {"cached", "bv", "consistent"},
    {"delegated", "bv", "consistent"},
    {"consistent", "bv", "consistent"},
    {"default", "bv", "consistent"},
    {"bind", "bv", "depth"},
    {"rbind", "bv", "depth"},
    {"exec", "bvi", "exec"},
    {"noexec", "bvi", "exec"},
    {"suid", "bvi", "suid"},
    {"nosuid", "bvi", "suid"},
    {"dev", "bvi", "dev"},
    {"nodev", "bvi", "dev"},
    {"U", "bv", "owner"},
    {"chown", "bv", "owner"},
    {"idmap", "bv", "owner"},
    {"O", "bv", "overlay"},
};

constexpr std::array kTypes = {std::pair{'b', MountType::kBind}, std::pair{'v', MountType::kVolume},
                               std::pair{'i', MountType::kImage}};

TEST(MountWords, EachAloneIsTakenWhereItMeansSomething) {
  for (const auto& row : kRows) {
    for (auto [letter, type] : kTypes) {
      bool means = std::string_view(row.types).find(letter) != std::string_view::npos;
      EXPECT_EQ(refusal(type, row.word),
                means ? ""
                      : fmt::format("option \"{}\" means nothing for a mount of type {}", row.word,
                                    to_string(type)));
    }
  }
}

bool goes_with_overlay(const Row& row) {
  std::string_view group = row.group, word = row.word;
  return group == "overlay" || group == "consistent" || group == "exec" || group == "suid" ||
         group == "dev" || word == "rw";
}

// Every pair: refused when of one group, when one of them is O and the other means nothing above a
// layer, and rro with what spreads; taken otherwise, in either order.
TEST(MountWords, PairsExcludeEachOtherByGroup) {
  int refused = 0;
  for (const auto& one : kRows) {
    for (const auto& other : kRows) {
      if (one.types[0] != 'b' || other.types[0] != 'b') continue;
      std::string_view a = one.word, b = other.word;
      bool overlay =
          (a == "O" && !goes_with_overlay(other)) || (b == "O" && !goes_with_overlay(one));
      auto spreads = [](std::string_view word) {
        return word.ends_with("shared") || word.ends_with("slave");
      };
      bool forced = (a == "rro" && spreads(b)) || (b == "rro" && spreads(a));
      bool bad = std::string_view(one.group) == other.group || overlay || forced;
      EXPECT_EQ(refusal(MountType::kBind, fmt::format("{},{}", a, b)).empty(), !bad)
          << a << " " << b;
      refused += bad;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(MountWords, ValuesWhereTheyBelong) {
  EXPECT_EQ(refusal(MountType::kBind, "ro=1"), "option \"ro\" takes no value");
  EXPECT_EQ(refusal(MountType::kBind, "idmap="), "option \"idmap\" needs a value");
  EXPECT_EQ(refusal(MountType::kBind, "O,upperdir"), "option \"upperdir\" needs a value");
  EXPECT_EQ(refusal(MountType::kBind, "O,upperdir=/u"),
            "options \"upperdir\" and \"workdir\" need each other");
  EXPECT_EQ(refusal(MountType::kBind, "upperdir=/u,workdir=/w"),
            "options \"upperdir\" and \"workdir\" need \"O\"");
  EXPECT_EQ(refusal(MountType::kBind, "O,upperdir=u,workdir=/w"), "\"u\" is no absolute path");
  EXPECT_EQ(refusal(MountType::kBind, "O,upperdir=/u,workdir=/w"), "");
  EXPECT_EQ(refusal(MountType::kBind, "ro,ro"), "option \"ro\" is given twice");
  EXPECT_EQ(refusal(MountType::kBind, "RO"), "unknown option \"RO\"");
  EXPECT_EQ(refusal(MountType::kBind, " ro"), "unknown option \" ro\"");
}

std::string id_map_refusal(const std::string& text) {
  auto map = parse_id_map(text);
  return map ? "" : map.error().message;
}

TEST(IdMapWord, IsReadAsPodmanReadsIt) {
  auto request = parse_id_map("uids=0-1-10#10-11-10;gids=0-100-10");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->map.uids, (std::vector<IdRange>{{0, 1, 10}, {10, 11, 10}}));
  EXPECT_EQ(request->map.gids, (std::vector<IdRange>{{0, 100, 10}}));
  EXPECT_FALSE(request->relative);
  auto relative = parse_id_map("gids=@0-0-5");
  ASSERT_TRUE(relative);
  EXPECT_TRUE(relative->relative);
  EXPECT_EQ(relative->map.uids, (std::vector<IdRange>{{0, 0, kNoId}}));
}

TEST(IdMapWord, SaysWhatIsWrong) {
  EXPECT_EQ(id_map_refusal("users=0-0-1"),
            "idmap: \"users=0-0-1\" is neither uids=RANGES nor gids=RANGES");
  EXPECT_EQ(id_map_refusal("uids=0-0"), "idmap: range \"0-0\" is not DISK-SEEN-COUNT");
  EXPECT_EQ(id_map_refusal("uids=0-x-1"), "idmap: \"x\" is no id");
  EXPECT_EQ(id_map_refusal("uids=0-0-4294967296"), "idmap: \"4294967296\" is no id");
  EXPECT_EQ(id_map_refusal("uids=0-0-0"), "idmap: uids: range 0-0-0 is empty");
  EXPECT_EQ(id_map_refusal("uids=0-0-2#1-5-1"), "idmap: uids: range 1-5-1 overlaps another");
  EXPECT_EQ(id_map_refusal("uids=0-0-1;uids=1-1-1"), "idmap: uids given twice");
  EXPECT_EQ(id_map_refusal("uids=@0-0-1;gids=0-0-1"),
            "idmap: uids and gids are either both relative (@) or neither");
  EXPECT_NE(id_map_refusal(""), "");
}

}  // namespace
}  // namespace holdfast
