#include "engine/mounts/mount_plan.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Result<std::vector<MountPoint>> no_containers(const std::string& name) {
  return fail(Code::kNotFound, "No such container: {}", name);
}

json::Object object(std::string_view text) { return *json::parse_object(text); }

Result<std::vector<MountPoint>> plan(std::string_view config, std::string_view host_config,
                                     const MountsOfContainer& mounts_of = no_containers) {
  return plan_mounts(object(config), object(host_config), mounts_of);
}

std::string message(const Result<MountPoint>& result) {
  return result ? "" : result.error().message;
}
std::string message(const Result<std::vector<MountPoint>>& result) {
  return result ? "" : result.error().message;
}

TEST(CleanPath, IsGosPathClean) {
  EXPECT_EQ(clean_path("/a//b/./c/../d/"), "/a/b/d");
  EXPECT_EQ(clean_path("/.."), "/");
  EXPECT_EQ(clean_path("/"), "/");
}

TEST(BindSpec, TellsVolumesFromBinds) {
  auto named = parse_bind_spec("data:/d", "");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->type, MountType::kVolume);
  EXPECT_EQ(named->source, "data");
  EXPECT_TRUE(named->copy_image_data);
  auto bind = parse_bind_spec("/srv//x/:/d:ro", "");
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->type, MountType::kBind);
  EXPECT_EQ(bind->source, "/srv/x");
  EXPECT_TRUE(bind->read_only);
  EXPECT_TRUE(bind->create_source);
  EXPECT_EQ(bind->propagation, "rprivate");
  EXPECT_EQ(bind->mode, "ro");
  auto anonymous = parse_bind_spec("/d", "");
  ASSERT_TRUE(anonymous);
  EXPECT_TRUE(anonymous->anonymous);
}

TEST(BindSpec, RefusesInDockersWords) {
  EXPECT_EQ(message(parse_bind_spec("", "")), "invalid volume specification: ''");
  EXPECT_EQ(message(parse_bind_spec("a:/b:ro:rw", "")),
            "invalid volume specification: 'a:/b:ro:rw'");
  EXPECT_EQ(message(parse_bind_spec(":/b", "")), "invalid volume specification: ':/b'");
  EXPECT_EQ(message(parse_bind_spec("/a:/", "")),
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid "
            "specification: "
            "destination can't be '/'");
  EXPECT_EQ(message(parse_bind_spec("a:b", "")),
            "invalid volume specification: 'a:b': invalid mount config for type \"volume\": "
            "invalid mount path: 'b' "
            "mount path must be absolute");
  EXPECT_EQ(message(parse_bind_spec("/a:/..", "")).substr(0, 40),
            "invalid volume specification: '/a:/..': ");
}

// Every option alone is taken where it means something; two of one group never are.
TEST(BindSpec, OptionsOnceAGroup) {
  for (const char* option :
       {"ro",        "rw",         "rro",    "z",       "Z",     "nocopy", "copy",
        "private",   "rprivate",   "shared", "rshared", "slave", "rslave", "cached",
        "delegated", "consistent", "bind",   "rbind",   "exec",  "noexec", "suid",
        "nosuid",    "dev",        "nodev",  "nocreate"}) {
    EXPECT_TRUE(parse_bind_spec(fmt::format("/a:/b:{}", option), "")) << option;
  }
  for (const char* options : {"ro,rw", "z,Z", "shared,rslave", "cached,delegated", "ro,ro",
                              "noexec,exec", "", "ro,", "bogus"}) {
    EXPECT_EQ(message(parse_bind_spec(fmt::format("/a:/b:{}", options), "")),
              fmt::format("invalid mode: {}", options));
  }
  EXPECT_FALSE(parse_bind_spec("data:/b:rshared", ""));
}

TEST(PlanMounts, RefusesADuplicateWhateverFieldItComesFrom) {
  const char* wanted = "Duplicate mount point: /d";
  EXPECT_EQ(message(plan("{}", R"({"Binds":["a:/d","b:/d/"]})")), wanted);
  EXPECT_EQ(message(plan("{}", R"({"Binds":["a:/d"],"Mounts":[{"Type":"tmpfs","Target":"/d"}]})")),
            wanted);
  EXPECT_EQ(message(plan("{}", R"({"Binds":["a:/d"],"Tmpfs":{"/x/../d":""}})")), wanted);
}

TEST(PlanMounts, ImageVolumesGiveWay) {
  auto mounts = plan(R"({"Volumes":{"/d":{},"/e":{}}})", R"({"Binds":["a:/d"]})");
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ((*mounts)[0].source, "a");
  EXPECT_TRUE((*mounts)[1].anonymous);
  EXPECT_EQ((*mounts)[1].target, "/e");
}

TEST(PlanMounts, ParentsComeFirst) {
  auto mounts = plan("{}", R"({"Binds":["c:/a/b/c","a:/a","b:/a/b"]})");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].target, "/a");
  EXPECT_EQ((*mounts)[2].target, "/a/b/c");
}

TEST(PlanMounts, VolumesFromIsOverriddenAndMayBeReadOnly) {
  auto other = [](const std::string& name) -> Result<std::vector<MountPoint>> {
    EXPECT_EQ(name, "box");
    return std::vector<MountPoint>{*parse_bind_spec("one:/one", ""),
                                   *parse_bind_spec("two:/two", "")};
  };
  auto mounts = plan("{}", R"({"VolumesFrom":["box:ro"],"Binds":["mine:/two"]})", other);
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ((*mounts)[0].source, "one");
  EXPECT_TRUE((*mounts)[0].read_only);
  EXPECT_FALSE((*mounts)[0].copy_image_data);
  EXPECT_EQ((*mounts)[1].source, "mine");
  EXPECT_FALSE((*mounts)[1].read_only);
  EXPECT_EQ(message(plan("{}", R"({"VolumesFrom":["box:nonsense"]})")),
            "invalid mode for volumes-from: nonsense");
  EXPECT_EQ(message(plan("{}", R"({"VolumesFrom":["gone"]})")), "No such container: gone");
}

TEST(PlanMounts, MountsAreCheckedByType) {
  auto mount = [](std::string_view fields) {
    return message(plan("{}", fmt::format(R"({{"Mounts":[{{{}}}]}})", fields)));
  };
  EXPECT_EQ(mount(R"("Type":"bind","Target":"/d")"),
            "invalid mount config for type \"bind\": field Source must not be empty");
  EXPECT_EQ(mount(R"("Type":"bind","Source":"rel","Target":"/d")"),
            "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be "
            "absolute");
  EXPECT_EQ(mount(R"("Type":"tmpfs","Source":"x","Target":"/d")"),
            "invalid mount config for type \"tmpfs\": field Source must not be specified");
  EXPECT_EQ(
      mount(
          R"("Type":"volume","Source":"v","Target":"/d","BindOptions":{"Propagation":"rshared"})"),
      "invalid mount config for type \"volume\": field BindOptions must not be specified");
  EXPECT_EQ(mount(R"("Type":"volume","Target":"/d","VolumeOptions":{"Subpath":"a"})"),
            "invalid mount config for type \"volume\": must not set Subpath when using anonymous "
            "volumes");
  EXPECT_NE(
      mount(
          R"("Type":"volume","Source":"v","Target":"/d","VolumeOptions":{"Subpath":"a/../../b"})"),
      "");
  EXPECT_EQ(mount(R"("Type":"floppy","Target":"/d")"),
            "invalid mount config for type \"floppy\": mount type unknown");
  EXPECT_EQ(mount(R"("Type":"bind","Source":"/a","Target":"")"),
            "invalid mount config for type \"bind\": field Target must not be empty");
}

TEST(PlanMounts, TmpfsOptionsCannotSmuggleOthersIn) {
  auto mounts = plan(
      "{}",
      R"({"Mounts":[{"Type":"tmpfs","Target":"/d","TmpfsOptions":{"SizeBytes":1048576,"Mode":1023}}]})");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].tmpfs_options, "mode=1777,size=1048576");
  EXPECT_FALSE(plan(
      "{}",
      R"({"Mounts":[{"Type":"tmpfs","Target":"/d","TmpfsOptions":{"Options":[["uid","0,suid"]]}}]})"));
}

TEST(MountPoint, RecordRoundTrip) {
  auto mount = *parse_bind_spec("/a:/b:ro,rslave,noexec", "");
  auto again = mount_from_json(to_json(mount));
  EXPECT_EQ(to_json(again), to_json(mount));
}

}  // namespace
}  // namespace holdfast
