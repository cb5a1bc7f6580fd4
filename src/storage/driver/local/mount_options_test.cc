#include "storage/driver/local/mount_options.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace holdfast {
namespace {

VolumeOptions of_type(const std::string& type, const std::string& words) {
  VolumeOptions options = {{"type", type}, {"device", "/dev/sdx"}};
  if (!words.empty()) options["o"] = words;
  return options;
}

LocalMount parsed(const std::string& type, const std::string& words) {
  auto mount = parse_local_mount(of_type(type, words));
  EXPECT_TRUE(mount) << type << " " << words << ": " << (mount ? "" : mount.error().message);
  return mount.value_or(LocalMount{});
}

std::string refusal(const VolumeOptions& options) {
  auto checked = check_local_options(options);
  if (checked && has_mount(options))
    checked = parse_local_mount(options).map([](const LocalMount&) {});
  if (checked) return "";
  EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
  return checked.error().message;
}

std::string refusal(const std::string& type, const std::string& words) {
  return refusal(of_type(type, words));
}

TEST(MountOptionsTest, TellsFlagsFromData) {
  auto mount = parsed("nfs", "addr=10.0.0.1,ro,nosuid,soft,noatime,defaults,rshared,timeo=5");
  EXPECT_EQ(mount.data, "addr=10.0.0.1,soft,timeo=5");
  ASSERT_EQ(mount.options.size(), 3u);
  EXPECT_EQ(mount.options[0].key, "addr");
  EXPECT_EQ(mount.options[0].value, "10.0.0.1");
  EXPECT_EQ(mount.options[1].value, std::nullopt);
  EXPECT_EQ(mount.attributes.read_only, true);
  EXPECT_EQ(mount.attributes.no_suid, true);
  EXPECT_EQ(mount.attributes.no_exec, std::nullopt);
  EXPECT_EQ(mount.attributes.propagation, Propagation::kShared);
  EXPECT_EQ(mount.flags, MS_RDONLY | MS_NOSUID | MS_NOATIME | MS_SHARED | MS_REC);
  EXPECT_FALSE(mount.bind);
}

TEST(MountOptionsTest, BindsComeByOptionOrType) {
  EXPECT_TRUE(parsed("none", "bind").bind);
  EXPECT_FALSE(parsed("none", "bind").recursive);
  EXPECT_TRUE(parsed("none", "ro,rbind").recursive);
  EXPECT_TRUE(parsed("bind", "").bind);
  EXPECT_TRUE(parsed("bind", "noexec,bind").bind);
}

// What Docker's own documentation and many a compose file have.
TEST(MountOptionsTest, TakesWhatIsInUse) {
  for (auto [type, words] : std::initializer_list<std::pair<const char*, const char*>>{
           {"tmpfs", "size=100m,uid=1000"},
           {"tmpfs", "size=50%,mode=1777,nr_inodes=1k,huge=advise,noswap"},
           {"btrfs", ""},
           {"btrfs", "compress=zstd:3,subvol=/data,discard=async,noatime"},
           {"ext4", "loop,data=journal,commit=30,barrier=0,nodelalloc"},
           {"xfs", "prjquota,logbsize=256k,inode64"},
           {"nfs", "addr=192.168.1.1,rw,nfsvers=4,async,nolock,soft"},
           {"nfs", "addr=server.example,nfsvers=4.1,hard,nointr,rsize=1048576,timeo=600,retrans=2"},
           {"nfs4", "addr=fd00::1,v4.2,noresvport,nconnect=4"},
           {"cifs", "addr=u.example,username=u,password=p$w'd\"\\x,file_mode=0777,dir_mode=0777"},
           {"cifs", "addr=u.example,credentials=/etc/creds,vers=3.0,uid=1000,gid=1000,noperm"},
           {"9p", "trans=virtio,version=9p2000.L,msize=262144"},
           {"ceph", "name=admin,secretfile=/etc/ceph/secret,mds_namespace=a"},
           {"overlay", "lowerdir=/a:/b,upperdir=/u,workdir=/w,redirect_dir=on"},
           {"overlay", "lowerdir=/a\\:b:/c"},
           {"fuse.sshfs", "port=2222,IdentityFile=/k,StrictHostKeyChecking=no,allow_other"},
           {"sshfs", "reconnect,ServerAliveInterval=15,uid=1000,follow_symlinks"},
           {"rclone",
            "vfs-cache-mode=full,allow_other,config=/etc/rclone.conf,vfs_cache_max_age=1h"},
           {"fuse.s3fs",
            "passwd_file=/etc/passwd-s3fs,url=https://s3.example,use_path_request_style"},
           {"glusterfs", "log-level=WARNING,backup-volfile-servers=a:b"},
           {"fuse.bindfs", "force-user=1000,allow_other"},
           {"beegfs", "cfgFile=/etc/beegfs.conf,_netdev"},
       })
    EXPECT_EQ(refusal(type, words), "") << type;
}

TEST(MountOptionsTest, OptionsThatActOnOtherMountsAreRefused) {
  for (const char* words : {"remount", "ro,move", "remount,bind", "move=1"})
    EXPECT_NE(refusal("none", words).find("cannot change others"), std::string::npos) << words;
}

TEST(MountOptionsTest, UnknownOptionsAreNamedWithWhatIsAllowed) {
  auto message = refusal("tmpfs", "sise=1m");
  EXPECT_TRUE(message.starts_with(
      "invalid mount option \"sise\" for file system type \"tmpfs\": allowed are gid=, huge="))
      << message;
  EXPECT_NE(message.find("size="), std::string::npos);
  EXPECT_NE(refusal("none", "bind,size=1m").find("\"size\""), std::string::npos);
}

TEST(MountOptionsTest, ValuesAreOfTheirKind) {
  auto refused = [](const char* type, const std::string& word) {
    auto message = refusal(type, word);
    EXPECT_NE(message.find(word.substr(0, word.find('='))), std::string::npos) << word << message;
    return !message.empty();
  };
  for (const char* word : {"uid=-1",
                           "uid=4294967295",
                           "uid=4294967296",
                           "uid=18446744073709551616",
                           "uid=0x1",
                           "uid= 1",
                           "uid=1 ",
                           "uid=",
                           "uid",
                           "gid=root",
                           "mode=8",
                           "mode=17777",
                           "size=",
                           "size=m",
                           "size=1z",
                           "size=-1",
                           "size=1.5g",
                           "size=99999999999999999999",
                           "huge=maybe",
                           "noswap=1"})
    EXPECT_TRUE(refused("tmpfs", word)) << word;
  for (const char* word : {"ro=1", "bind=1", "nosuid=", "=1", "=", "errors=panic", "data=x"})
    EXPECT_TRUE(refused("ext4", word)) << word;
  EXPECT_TRUE(refused("nfs", "addr=-oX"));
  EXPECT_TRUE(refused("nfs", "addr=a b"));
  EXPECT_TRUE(refused("overlay", "lowerdir=relative"));
  EXPECT_TRUE(refused("sshfs", "IdentityFile=relative"));
  EXPECT_EQ(refusal("tmpfs", "uid=4294967294"), "");
}

TEST(MountOptionsTest, EmptyRepeatedAndContradictoryOnesAreRefused) {
  for (const char* words : {"ro,,rw", ",ro", "ro,"})
    EXPECT_EQ(refusal("ext4", words), "option \"o\" has an empty mount option in it") << words;
  EXPECT_EQ(refusal("ext4", "ro,ro"), "mount option \"ro\" is given twice");
  EXPECT_EQ(refusal("tmpfs", "size=1m,size=2m"), "mount option \"size\" is given twice");
  EXPECT_EQ(refusal("ext4", "ro,rw"), "mount options \"ro\" and \"rw\" contradict each other");
  for (const char* words :
       {"suid,nosuid", "noatime,relatime", "shared,slave", "bind,rbind", "sync,async", "acl,noacl",
        "nodiscard,discard", "barrier=1,nobarrier", "lazytime,nolazytime"})
    EXPECT_NE(refusal("ext4", words).find("contradict"), std::string::npos) << words;
  EXPECT_NE(refusal("nfs", "addr=1.2.3.4,hard,soft").find("contradict"), std::string::npos);
}

TEST(MountOptionsTest, NothingIsSmuggled) {
  EXPECT_NE(refusal("tmpfs", std::string("size=1m\0,x", 10)), "");
  EXPECT_NE(refusal("tmpfs", "mpol=a\nb"), "");
  EXPECT_NE(refusal({{"type", "tmpfs"}, {"device", std::string("a\0b", 3)}}), "");
  // Programs, libraries, descriptors, and what mount(8) or a helper would do with them.
  for (const char* words :
       {"ssh_command=/tmp/x", "ProxyCommand=/tmp/x", "LocalCommand=x", "KnownHostsCommand=x",
        "sftp_server=x", "directport=1", "PKCS11Provider=/x", "slave_fd=3", "password_stdin"})
    EXPECT_NE(refusal("fuse.sshfs", words), "") << words;
  EXPECT_NE(refusal("fuse.bindfs", "fd=3"), "");
  for (const char* words : {"command=x", "password-command=x", "env.PATH=/x", "args2env",
                            "log-file=/x", "rc", "metadata-mapper=/x"})
    EXPECT_NE(refusal("rclone", words), "") << words;
  for (const char* words : {"credlib=/x.so", "logfile=/x", "credlib_opts=a"})
    EXPECT_NE(refusal("s3fs", words), "") << words;
  for (const char* words : {"rfdno=3", "wfdno=4", "trans=fd"})
    EXPECT_NE(refusal("9p", words), "") << words;
  for (const char* words :
       {"X-mount.mkdir", "x-mount.subdir=a", "helper=x", "uhelper=x", "source=/x", "exec-hook=/x",
        "a=\"b", "a=b\\", "a=$(x)", "a=`x`", "a=b;c", "-x=1", "log-file=/x", "lib=/x", "a b=1"})
    EXPECT_NE(refusal("fuse.bindfs", words), "") << words;
}

TEST(MountOptionsTest, TypeAndDeviceAreWhatTheyShouldBe) {
  for (const char* type : {"../x", "a/b", ".x", "-t", "a b", "ext4,ro", "fuse", "fuse.", "fuseblk"})
    EXPECT_NE(refusal(type, ""), "") << type;
  EXPECT_NE(refusal(std::string(65, 'a'), ""), "");
  auto device = [](const std::string& type, const std::string& device, const std::string& words) {
    return refusal({{"type", type}, {"device", device}, {"o", words}});
  };
  EXPECT_EQ(device("ext4", "", ""), "option \"device\" is empty");
  EXPECT_EQ(device("tmpfs", "", ""), "");
  EXPECT_NE(device("sshfs", "-oProxyCommand=x", ""), "");
  EXPECT_NE(device("none", "relative", "bind"), "");
  EXPECT_NE(device("nfs", std::string(256, 'a'), ""), "");
  EXPECT_EQ(device("none", "/" + std::string(300, 'a'), "bind"), "");
  EXPECT_EQ(device("none", "/x", ""),
            "type \"none\" needs the mount option bind or rbind: --opt o=bind");
  EXPECT_NE(device("overlay", "x", "upperdir=/u,workdir=/w"), "");
  EXPECT_NE(device("overlay", "x", "lowerdir=/l,upperdir=/u"), "");
  EXPECT_NE(refusal("tmpfs", "mpol=" + std::string(256, 'a')), "");
  EXPECT_NE(refusal("tmpfs", std::string(4096, 'a')), "");
  EXPECT_EQ(device("", "", ""), "");
  EXPECT_NE(device("", "", "ro"), "");
}

TEST(MountOptionsTest, SizesGoWithDirectoriesOnly) {
  EXPECT_EQ(*size_limit({{"size", "1g"}}), 1u << 30);
  EXPECT_EQ(*size_limit({}), 0u);
  EXPECT_EQ(refusal({{"size", "10GiB"}}), "");
  EXPECT_EQ(refusal({{"size", "huge"}}), "invalid size: 'huge'");
  EXPECT_EQ(refusal({{"size", "-1"}}), "invalid size: '-1'");
  EXPECT_EQ(refusal({{"size", ""}}), "invalid size: ''");
  EXPECT_EQ(refusal({{"type", "tmpfs"}, {"device", "tmpfs"}, {"size", "1g"}}),
            "the size of a tmpfs is a mount option: --opt o=size=1g");
  EXPECT_NE(refusal({{"type", "nfs"}, {"device", ":/x"}, {"size", "1g"}}), "");
}

TEST(MountOptionsTest, SecretsAreNotShown) {
  auto mount = parsed("cifs", "addr=1.2.3.4,username=u,password=geheim");
  EXPECT_EQ(mount.data, "addr=1.2.3.4,username=u,password=********");
  EXPECT_EQ(mount.options[2].value, "geheim");
  EXPECT_EQ(refusal("cifs", "password=" + std::string(300, 'x')).find("xxx"), std::string::npos);
}

TEST(MountOptionsTest, ProgramsGetTheWordsThatAreTheirs) {
  auto words = helper_options(of_type("cifs", "ro,_netdev,nofail,username=u,rslave,nosuid"));
  EXPECT_EQ(*words, "ro,username=u,nosuid");
  EXPECT_FALSE(helper_options(of_type("cifs", "password=a\"b")));
  EXPECT_FALSE(helper_options(of_type("cifs", "password=a\\b")));
  EXPECT_FALSE(helper_options({{"type", "sshfs"}, {"device", "h:/$(x)"}}));
}

}  // namespace
}  // namespace holdfast
