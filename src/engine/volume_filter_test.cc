#include "engine/volume_filter.h"

#include <gtest/gtest.h>

#include "engine/volume_json.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using Filters = std::multimap<std::string, std::string>;

TEST(NamePattern, IsARegularExpressionOrPlainText) {
  EXPECT_TRUE(NamePattern("ata").matches("data"));
  EXPECT_TRUE(NamePattern("").matches("data"));
  EXPECT_TRUE(NamePattern("^da.a$").matches("data"));
  EXPECT_FALSE(NamePattern("^ata").matches("data"));
  EXPECT_TRUE(NamePattern("one|data").matches("data"));
  // No regular expression: looked for as it stands.
  EXPECT_TRUE(NamePattern("a[b").matches("xa[by"));
  EXPECT_FALSE(NamePattern("a[b").matches("ab"));
  EXPECT_FALSE(NamePattern(std::string(300, '.')).matches("data"));
}

// With backtracking this takes longer than the universe has left.
TEST(NamePattern, TakesNoTimeWhateverThePattern) {
  std::string name(255, 'a');
  EXPECT_FALSE(NamePattern("(a|a)*b").matches(name));
  name.back() = '!';
  EXPECT_FALSE(NamePattern("^(a+)+$").matches(name));
}

class VolumeFilterTest : public testing::Test {
 protected:
  VolumeFilterTest() {
    store_ = *Store::open(root_ + "/state.db");
    volumes_ = *Volumes::open(root_, *store_);
    add("data", {{"a", "1"}, {"b", ""}});
    add("log", {{"a", "2"}});
    auto unnamed = volumes_->create({"", "", {}, {{"a", "1"}}});
    EXPECT_TRUE(unnamed);
    anonymous_ = unnamed->volume->name.str();
  }
  ~VolumeFilterTest() override {
    // The bare directory of a volume with options can't be removed by others.
    volumes_->holders_restored();
    for (const auto& volume : volumes_->list()) EXPECT_TRUE(volumes_->remove(volume->name));
    volumes_.reset();
  }
  void add(const std::string& name, std::map<std::string, std::string> labels) {
    EXPECT_TRUE(volumes_->create({name, "", {}, std::move(labels)}));
  }

  // The names that match, anonymous ones as "anon"; "log" is in use.
  std::vector<std::string> matching(const VolumeFilter& filter) {
    std::vector<std::string> names;
    for (const auto& volume : volumes_->list()) {
      if (!filter.matches(*volume, volume->name.str() == "log", "local")) continue;
      names.push_back(volume->anonymous() ? "anon" : volume->name.str());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::vector<std::string> listed(const Filters& filters) {
    auto filter = VolumeFilter::for_listing(filters, *volumes_);
    EXPECT_TRUE(filter) << filter.error().message;
    return filter ? matching(*filter) : std::vector<std::string>{};
  }
  std::vector<std::string> pruned(const Filters& filters, const std::string& version = "1.50") {
    auto filter = VolumeFilter::for_pruning(filters, version, *volumes_);
    EXPECT_TRUE(filter) << filter.error().message;
    return filter ? matching(*filter) : std::vector<std::string>{};
  }
  std::string error(const Filters& filters) {
    auto filter = VolumeFilter::for_listing(filters, *volumes_);
    return filter ? "" : filter.error().message;
  }

  TemporaryDirectory directory_;
  const std::string& root_ = directory_.path();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
  std::string anonymous_;
};

using Names = std::vector<std::string>;

TEST_F(VolumeFilterTest, EachKey) {
  EXPECT_EQ(listed({}), (Names{"anon", "data", "log"}));
  EXPECT_EQ(listed({{"dangling", "true"}}), (Names{"anon", "data"}));
  EXPECT_EQ(listed({{"dangling", "0"}}), (Names{"log"}));
  EXPECT_EQ(listed({{"name", "^d"}}), (Names{"data"}));
  EXPECT_EQ(listed({{"name", "lo"}, {"name", "dat"}}), (Names{"data", "log"}));
  EXPECT_EQ(listed({{"driver", "local"}}), (Names{"anon", "data", "log"}));
  EXPECT_EQ(listed({{"driver", "loc"}}), Names{});
  EXPECT_EQ(listed({{"label", "a=1"}}), (Names{"anon", "data"}));
  EXPECT_EQ(listed({{"label", "a"}, {"label", "b"}}), (Names{"data"}));
  EXPECT_EQ(listed({{"label!", "b"}}), (Names{"anon", "log"}));
  EXPECT_EQ(listed({{"label!", "b"}, {"label!", "a=2"}}), (Names{"anon"}));
  EXPECT_EQ(listed({{"anonymous", "true"}}), (Names{"anon"}));
  EXPECT_EQ(listed({{"anonymous", "false"}}), (Names{"data", "log"}));
  EXPECT_EQ(listed({{"scope", "local"}}), (Names{"anon", "data", "log"}));
  EXPECT_EQ(listed({{"scope", "global"}}), Names{});
  EXPECT_EQ(listed({{"opt", "type"}}), Names{});
  EXPECT_EQ(listed({{"since", "data"}}), (Names{"anon", "log"}));
  EXPECT_EQ(listed({{"after", "log"}}), (Names{"anon"}));
  EXPECT_EQ(listed({{"until", "1h"}}), Names{});
  EXPECT_EQ(listed({{"until", "2200-01-01"}}), (Names{"anon", "data", "log"}));
  EXPECT_EQ(listed({{"label", "a"}, {"name", "g$"}}), (Names{"log"}));
}

TEST_F(VolumeFilterTest, OptionsByNameOrWithTheirValue) {
  ASSERT_TRUE(volumes_->create({"ram", "", {{"type", "tmpfs"}, {"device", "x"}}, {}}));
  EXPECT_EQ(listed({{"opt", "type"}}), (Names{"ram"}));
  EXPECT_EQ(listed({{"opt", "type=tmpfs"}}), (Names{"ram"}));
  EXPECT_EQ(listed({{"opt", "type=nfs"}}), Names{});
  EXPECT_EQ(listed({{"opt", "type=nfs"}, {"opt", "device"}}), (Names{"ram"}));
}

// The words are dockerd's.
TEST_F(VolumeFilterTest, RefusesInDockersWords) {
  EXPECT_EQ(error({{"nonsense", "1"}}), "invalid filter 'nonsense'");
  EXPECT_EQ(error({{"all", "1"}}), "invalid filter 'all'");
  EXPECT_EQ(error({{"dangling", "potato"}}), "invalid filter 'dangling=[potato]'");
  EXPECT_EQ(error({{"dangling", "true"}, {"dangling", "0"}}), "invalid filter 'dangling=[true 0]'");
  EXPECT_EQ(error({{"anonymous", ""}}), "invalid filter 'anonymous=[]'");
  EXPECT_EQ(error({{"scope", "swarm"}}), "invalid filter 'scope=[swarm]'");
  EXPECT_EQ(error({{"until", "soon"}}), "invalid filter 'until=[soon]'");
  EXPECT_EQ(error({{"until", "1h"}, {"until", "2h"}}), "more than one until filter specified");
  EXPECT_EQ(error({{"since", "none"}}), "get none: no such volume");
}

TEST_F(VolumeFilterTest, PruningTakesNamedOnesOnlyWhenAsked) {
  EXPECT_EQ(pruned({}), (Names{"anon"}));
  EXPECT_EQ(pruned({}, "1.41"), (Names{"anon", "data", "log"}));
  EXPECT_EQ(pruned({{"all", "true"}}), (Names{"anon", "data", "log"}));
  EXPECT_EQ(pruned({{"all", "false"}}, "1.41"), (Names{"anon"}));
  EXPECT_EQ(pruned({{"all", "1"}, {"label", "a=2"}}), (Names{"log"}));
  EXPECT_EQ(pruned({{"label!", "a=1"}}), Names{});
  EXPECT_EQ(pruned({{"all", "1"}, {"anonymous", "0"}}), (Names{"data", "log"}));
  EXPECT_EQ(pruned({{"until", "1h"}}), Names{});
  EXPECT_FALSE(VolumeFilter::for_pruning({{"anonymous", "0"}}, "1.50", *volumes_));
  EXPECT_FALSE(VolumeFilter::for_pruning({{"all", "some"}}, "1.50", *volumes_));
}

TEST_F(VolumeFilterTest, TextAndObjectSayTheSame) {
  Volume volume = **volumes_->get(VolumeName("data"));
  volume.options = {{"o", "a=\"b\",c"}};
  volume.labels["quote\n"] = "\\";
  for (const auto& shown : {volume, **volumes_->get(VolumeName("log"))}) {
    std::string text;
    append_volume_json(text, shown, "local");
    EXPECT_EQ(json::serialize(*json::parse(text)), json::serialize(volume_json(shown)));
  }
}

}  // namespace
}  // namespace holdfast
