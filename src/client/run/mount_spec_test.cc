#include "client/run/mount_spec.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace holdfast::client {
namespace {

std::string mount(std::string_view text) {
  auto result = parse_mount_spec(text);
  return result ? json::serialize(*result) : result.error().message;
}

TEST(MountSpec, IsAVolumeByDefault) {
  EXPECT_EQ(mount("src=pg,dst=/d"), R"({"Type":"volume","Source":"pg","Target":"/d"})");
  EXPECT_EQ(mount("TYPE=BIND,Source=/h,destination=/d,RO"),
            R"({"Type":"bind","Source":"/h","Target":"/d","ReadOnly":true})");
  EXPECT_EQ(mount("type=bind,src=./x,dst=/d,readonly=0"),
            R"({"Type":"bind","Source":")" + std::filesystem::current_path().string() +
                R"(/x","Target":"/d","ReadOnly":false})");
}

TEST(MountSpec, KnowsTheOptionsOfEachType) {
  EXPECT_EQ(mount("dst=/d,volume-nocopy,volume-label=a=b,volume-label=c,volume-driver=x,"
                  "\"volume-opt=o=addr=1,rw\",volume-subpath=s"),
            R"({"Type":"volume","Target":"/d","VolumeOptions":{"NoCopy":true,)"
            R"("Labels":{"a":"b","c":""},"DriverConfig":{"Name":"x","Options":)"
            R"({"o":"addr=1,rw"}},"Subpath":"s"}})");
  EXPECT_EQ(mount("type=tmpfs,dst=/d,tmpfs-size=64m,tmpfs-mode=1770"),
            R"({"Type":"tmpfs","Target":"/d","TmpfsOptions":{"SizeBytes":67108864,"Mode":1016}})");
  EXPECT_EQ(mount("type=bind,src=/h,dst=/d,ro,bind-propagation=rprivate,bind-recursive=readonly"),
            R"({"Type":"bind","Source":"/h","Target":"/d","ReadOnly":true,"BindOptions":)"
            R"({"Propagation":"rprivate","ReadOnlyForceRecursive":true}})");
  EXPECT_EQ(mount("type=image,src=i,dst=/d,image-subpath=p"),
            R"({"Type":"image","Source":"i","Target":"/d","ImageOptions":{"Subpath":"p"}})");
}

TEST(MountSpec, TakesPodmansKeysAsWords) {
  EXPECT_EQ(mount("type=bind,src=/h,dst=/d,U=true,idmap,noexec,relabel=private"),
            R"({"Type":"bind","Source":"/h","Target":"/d","Options":["U","idmap","noexec","Z"]})");
  EXPECT_EQ(mount("type=bind,src=/h,dst=/d,idmap=uids=0-1-1,nodev=false"),
            R"({"Type":"bind","Source":"/h","Target":"/d","Options":["idmap=uids=0-1-1"]})");
  EXPECT_EQ(mount("type=devpts,dst=/d,mode=0620,max=3"),
            R"({"Type":"devpts","Target":"/d","Options":["mode=0620","max=3"]})");
  EXPECT_EQ(mount("type=glob,src=/h/*"), R"({"Type":"glob","Source":"/h/*"})");
  EXPECT_EQ(mount("dst=/d,relabel=z"),
            "invalid value for relabel: z (must be \"shared\" or \"private\")");
  EXPECT_EQ(mount("dst=/d,upperdir"), "invalid field 'upperdir' must be a key=value pair");
}

TEST(MountSpec, RefusesInDockersWords) {
  EXPECT_EQ(mount(""), "value is empty");
  EXPECT_EQ(mount("type=volume"), "target is required");
  EXPECT_EQ(mount("dst=/x,foo=bar"), "unexpected key 'foo' in 'foo=bar'");
  EXPECT_EQ(mount("dst=/x,foo"), "invalid field 'foo' must be a key=value pair");
  EXPECT_EQ(mount("src=a, dst=/x"),
            "invalid option ' dst' in ' dst=/x': option should not have whitespace");
  EXPECT_EQ(mount("src=,dst=/x"), "invalid value for 'src': value is empty");
  EXPECT_EQ(mount("src= a,dst=/x"),
            "invalid value for 'src' in 'src= a': value should not have whitespace");
  EXPECT_EQ(mount("dst=/x,ro=yes"),
            "invalid value for 'ro': invalid boolean value (\"yes\"): must be one of \"true\", "
            "\"1\", \"false\", or \"0\" (default \"true\")");
  EXPECT_EQ(mount("type=bind,volume-nocopy,dst=/x"),
            "cannot mix 'volume-*' options with mount type 'bind'");
  EXPECT_EQ(mount("tmpfs-size=1,dst=/x"), "cannot mix 'tmpfs-*' options with mount type 'volume'");
  EXPECT_EQ(mount("type=tmpfs,dst=/x,tmpfs-mode=9"), "invalid value for tmpfs-mode: 9");
  EXPECT_EQ(mount("type=tmpfs,dst=/x,tmpfs-size=zz"), "invalid value for tmpfs-size: zz");
  EXPECT_EQ(mount("type=bind,src=/a,dst=/x,bind-recursive=writable"),
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  EXPECT_EQ(mount("type=bind,src=/a,dst=/x,bind-recursive=readonly,ro"),
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
            "specified in conjunction");
}

TEST(VolumeSpec, TellsNamedHostAndAnonymous) {
  EXPECT_EQ(parse_volume_spec("data:/d:ro")->bind, "data:/d:ro");
  EXPECT_FALSE(parse_volume_spec("data:/d")->anonymous);
  EXPECT_TRUE(parse_volume_spec("/d")->anonymous);
  EXPECT_EQ(parse_volume_spec("./x:/d")->bind, std::filesystem::current_path().string() + "/x:/d");
  EXPECT_EQ(parse_volume_spec(".:/d")->bind, std::filesystem::current_path().string() + ":/d");
}

TEST(VolumeSpec, RefusesInDockersWords) {
  EXPECT_EQ(parse_volume_spec("").error().message, "invalid empty volume spec");
  EXPECT_EQ(parse_volume_spec("a::/b").error().message,
            "invalid spec: a::/b: empty section between colons");
  EXPECT_EQ(parse_volume_spec("abc:").error().message,
            "invalid spec: abc:: empty section between colons");
  EXPECT_EQ(parse_volume_spec("a:/b:ro:x").error().message,
            "invalid spec: a:/b:ro:x: too many colons");
}

}  // namespace
}  // namespace holdfast::client
