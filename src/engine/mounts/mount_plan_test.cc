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
  return plan_mounts(object(config), object(host_config), {mounts_of, false});
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

TEST(BindSpec, AModeIsNoTarget) {
  EXPECT_EQ(message(parse_bind_spec("/d:ro", "")), "invalid volume specification: '/d:ro'");
  EXPECT_EQ(message(parse_bind_spec("/d:O,upperdir=/u,workdir=/w", "")),
            "invalid volume specification: '/d:O,upperdir=/u,workdir=/w'");
}

TEST(BindSpec, OptionsOfTheOtherKindAreRefusedInDockersWords) {
  EXPECT_EQ(message(parse_bind_spec("/a:/d:nocopy", "")),
            "invalid volume specification: '/a:/d:nocopy': invalid mount config for type "
            "\"bind\": field VolumeOptions must not be specified");
  EXPECT_EQ(message(parse_bind_spec("v:/d:rshared", "")),
            "invalid volume specification: 'v:/d:rshared': invalid mount config for type "
            "\"volume\": field BindOptions must not be specified");
}

TEST(BindSpec, SaysWhatIsWrongWithAMode) {
  EXPECT_EQ(message(parse_bind_spec("/a:/b:ro,rw", "")),
            "invalid mode: ro,rw: options \"ro\" and \"rw\" contradict");
  EXPECT_EQ(message(parse_bind_spec("/a:/b:bogus", "")),
            "invalid mode: bogus: unknown option \"bogus\"");
  EXPECT_EQ(message(parse_bind_spec("/a:/b:", "")), "invalid mode: : an option is empty");
}

TEST(BindSpec, RefusesWhatIsLongerThanAPathMayBe) {
  EXPECT_NE(message(parse_bind_spec("v:/" + std::string(256, 'x'), "")), "");
  EXPECT_NE(message(parse_bind_spec("/" + std::string(256, 'x') + ":/d", "")), "");
  std::string deep;
  for (int i = 0; i < 1100; ++i) deep += "/abc";
  EXPECT_NE(message(parse_bind_spec("v:" + deep, "")), "");
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
  EXPECT_EQ(message(plan("{}", R"({"VolumesFrom":["box:nonsense"]})")), "invalid mode: nonsense");
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
  EXPECT_EQ((*mounts)[0].options, (std::vector<std::string>{"mode=1777", "size=1048576"}));
  EXPECT_FALSE(plan(
      "{}",
      R"({"Mounts":[{"Type":"tmpfs","Target":"/d","TmpfsOptions":{"Options":[["uid","0,suid"]]}}]})"));
}

TEST(PlanMounts, OurOwnFieldTakesTheWordsOfV) {
  auto mounts = plan("{}", R"({"Mounts":[{"Type":"bind","Source":"/a","Target":"/d",
      "Options":["noexec","idmap=uids=0-1000-1"]},{"Type":"devpts","Target":"/p",
      "Options":["mode=0600"]}]})");
  ASSERT_TRUE(mounts) << message(mounts);
  EXPECT_EQ((*mounts)[0].no_exec, true);
  EXPECT_EQ((*mounts)[0].propagation, "rprivate");
  EXPECT_EQ((*mounts)[0].mode, "noexec,idmap=uids=0-1000-1");
  EXPECT_EQ((*mounts)[1].options, std::vector<std::string>{"mode=0600"});
  EXPECT_EQ(
      message(plan("{}", R"({"Mounts":[{"Type":"bind","Source":"/a","Target":"/d",
      "Options":["nocopy"]}]})")),
      "invalid mount config for type \"bind\": option \"nocopy\" means nothing for a mount of "
      "type bind");
}

TEST(PlanMounts, AnonymousVolumesAreNotReadOnly) {
  EXPECT_EQ(message(plan("{}", R"({"Mounts":[{"Type":"volume","Target":"/d","ReadOnly":true}]})")),
            "invalid mount config for type \"volume\": must not set ReadOnly mode when using "
            "anonymous volumes");
}

TEST(PlanMounts, OldClientsGetReadOnlyAtTheTopAlone) {
  json::Object host_config = object(R"({"Binds":["/a:/d:ro","/a:/e:rro"]})");
  auto mounts = plan_mounts({}, host_config, {no_containers, true});
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].reach, ReadOnlyReach::kTopOnly);
  EXPECT_EQ((*mounts)[1].reach, ReadOnlyReach::kForced);
}

TEST(PlanMounts, ProcAndWhatAnImageDeclaresInSysAreOutOfBounds) {
  EXPECT_EQ(message(plan(R"({"Volumes":{"/proc":{}}})", "{}")),
            "invalid mount config for type \"volume\": \"/proc\" cannot be mounted because it is "
            "inside /proc");
  EXPECT_EQ(
      message(plan(R"({"Volumes":{"/sys/kernel":{}}})", "{}")),
      "invalid mount config for type \"volume\": \"/sys/kernel\" cannot be mounted because it "
      "is inside /sys");
  EXPECT_NE(message(plan("{}", R"({"Tmpfs":{"/proc/self":""}})")), "");
  EXPECT_NE(message(plan("{}", R"({"Binds":["/a:/x/../proc/1"]})")), "");
  EXPECT_NE(message(plan("{}", R"({"Binds":["v:/proc"]})")), "");
  EXPECT_TRUE(plan("{}", R"({"Binds":["/a:/proc/meminfo:ro","/sys/fs/cgroup:/sys/fs/cgroup"]})"));
  EXPECT_TRUE(plan("{}", R"({"Binds":["/a:/process"]})"));
}

TEST(PlanMounts, WhatTmpfsAsksForIsNotListedNorInherited) {
  auto mounts = plan("{}", R"({"Tmpfs":{"/t":"size=64MiB,ro,rw"}})");
  ASSERT_TRUE(mounts);
  EXPECT_FALSE((*mounts)[0].listed);
  EXPECT_EQ((*mounts)[0].options, (std::vector<std::string>{"size=67108864", "rw"}));
  EXPECT_EQ(message(plan("{}", R"({"Tmpfs":{"/t":"size=1m,bar=2"}})")),
            "invalid tmpfs option [\"bar\" \"2\"]");
  EXPECT_EQ(message(plan("{}", R"({"Tmpfs":{"/":""}})")),
            "invalid specification: destination can't be '/'");
}

TEST(MountPoint, RecordRoundTrip) {
  for (const char* spec :
       {"/a:/b:ro,rslave,noexec,Z", "/a:/b:O,upperdir=/u,workdir=/w,dev",
        "v:/b:idmap=uids=@0-5-1#7-9-2;gids=@1-1-1", "v:/b:idmap", "v:/b:U,bind"}) {
    auto mount = parse_bind_spec(spec, "");
    ASSERT_TRUE(mount) << message(mount);
    auto again = mount_from_json(to_json(*mount));
    EXPECT_EQ(to_json(again), to_json(*mount)) << spec;
    EXPECT_EQ(again.id_map, mount->id_map) << spec;
    EXPECT_EQ(again.overlay, mount->overlay) << spec;
    EXPECT_EQ(again.no_exec, mount->no_exec) << spec;
  }
}

// A record as 0.1 wrote it.
TEST(MountPoint, ReadsRecordsOfVersion01) {
  auto mount = mount_from_json(object(
      R"({"Type":"tmpfs","Target":"/d","Source":"","Driver":"","Mode":"","Propagation":"",
      "ReadOnly":false,"Reach":0,"Recursive":true,"CreateSource":false,"CopyImageData":false,
      "Anonymous":false,"NoExec":false,"NoSuid":true,"NoDev":false,"Subpath":"",
      "TmpfsOptions":"size=64k,exec","VolumeLabels":{},"VolumeOptions":{}})"));
  EXPECT_EQ(mount.options, (std::vector<std::string>{"size=64k", "exec"}));
  EXPECT_EQ(mount.no_exec, std::nullopt);
  EXPECT_EQ(mount.no_suid, true);
  EXPECT_TRUE(mount.listed);
}

}  // namespace
}  // namespace holdfast
