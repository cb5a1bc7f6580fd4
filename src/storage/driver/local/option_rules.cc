#include "storage/driver/local/option_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <vector>

namespace holdfast {
namespace {

// The notation of an option list: words with blanks between. "name" is a flag; "name:kind" takes a
// value of that kind; "name?:kind" may do without. A kind is one of kKinds, or the values allowed,
// with "|" between.

constexpr std::string_view kTmpfs =
    "gid:id huge:never|always|within_size|advise inode32 inode64 mode:octal mpol:word noswap "
    "nr_blocks:size nr_inodes:size size:size% uid:id";

constexpr std::string_view kExt4 =
    "acl auto_da_alloc?:number barrier?:number block_validity bsddf bsdgroups commit:number "
    "data:journal|ordered|writeback dax?:always|never|inode debug delalloc dioread_lock "
    "dioread_nolock discard errors:continue|remount-ro grpid grpquota i_version "
    "init_itable?:number "
    "inlinecrypt journal_async_commit journal_checksum journal_ioprio:number journal_path:path "
    "max_batch_time:number max_dir_size_kb:number min_batch_time:number minixdf noacl "
    "noauto_da_alloc nobarrier noblock_validity nodelalloc nodiscard nogrpid noinit_itable "
    "nojournal_checksum noload nombcache noquota norecovery nouid32 nouser_xattr prjquota quota "
    "resgid:id resuid:id sb:number stripe:number sysvgroups user_xattr usrquota";

constexpr std::string_view kXfs =
    "allocsize:size attr2 bsdgroups dax?:always|never|inode discard filestreams gqnoenforce gquota "
    "grpid grpquota ikeep inode32 inode64 largeio logbsize:size logbufs:number logdev:path noalign "
    "noattr2 nodiscard nogrpid noikeep nolargeio noquota norecovery nouuid pqnoenforce pquota "
    "prjquota qnoenforce quota rtdev:path sunit:number swalloc swidth:number sysvgroups "
    "uqnoenforce "
    "uquota usrquota wsync";

constexpr std::string_view kBtrfs =
    "acl autodefrag barrier clear_cache commit:number compress?:word compress-force?:word datacow "
    "datasum degraded device:path discard?:sync|async enospc_debug flushoncommit max_inline:size "
    "metadata_ratio:number noacl noautodefrag nobarrier nodatacow nodatasum nodiscard "
    "noenospc_debug noflushoncommit nologreplay norecovery nospace_cache nossd nossd_spread "
    "notreelog rescan_uuid_tree rescue:word skip_balance space_cache?:v1|v2 ssd ssd_spread "
    "subvol:text subvolid:number thread_pool:number treelog usebackuproot user_subvol_rm_allowed";

constexpr std::string_view kFat =
    "allow_utime:octal check:word codepage:number cvf_format:word debug discard dmask:octal "
    "dos1xfloppy dots dotsOK:yes|no errors:continue|remount-ro flush fmask:octal gid:id "
    "iocharset:word keep_last_dots namecase:number nfs?:stale_rw|nostale_ro nocase nodots "
    "nonumtail "
    "quiet rodir shortname:lower|win95|winnt|mixed showexec sys_immutable sys_tz "
    "time_offset:number "
    "tz:UTC uid:id umask:octal uni_xlate usefree utf8?:word";

constexpr std::string_view kNtfs =
    "acl discard dmask:octal fmask:octal force gid:id hidden hide_dot_files iocharset:word "
    "nls:word "
    "nohidden prealloc showmeta sparse sys_immutable uid:id umask:octal utf8 windows_names";

constexpr std::string_view kReadOnlyImages =
    "block:number check:word cruft dax?:always|never cache_strategy:word device:path "
    "directio domain_id:word dmode:octal errors:continue fsoffset:number gid:id hide "
    "iocharset:word "
    "map:word mode:octal nojoliet norock novrs sbsector:number session:number showassoc "
    "threads:word uid:id umask:octal undelete unhide utf8 anchor:number bs:number lastblock:number";

constexpr std::string_view kF2fs =
    "acl active_logs:number alloc_mode:default|reuse atgc background_gc:on|off|sync barrier "
    "checkpoint_merge compress_algorithm:word compress_chksum compress_extension:word "
    "compress_log_size:number compress_mode:fs|user data_flush discard "
    "discard_unit:block|segment|section disable_ext_identify errors:continue|remount-ro "
    "extent_cache fastboot flush_merge fsync_mode:posix|strict|nobarrier gc_merge heap "
    "inline_data inline_dentry inline_xattr inlinecrypt lazytime mode:adaptive|lfs noacl nobarrier "
    "nocheckpoint_merge nodiscard noextent_cache noflush_merge nogc_merge noheap noinline_data "
    "noinline_dentry noinline_xattr norecovery nouser_xattr user_xattr whint_mode:word";

constexpr std::string_view kOverlay =
    "default_permissions index:on|off lowerdir:paths metacopy:on|off nfs_export:on|off "
    "redirect_dir:on|off|follow|nofollow upperdir:path userxattr uuid:on|off|auto|null "
    "verity:on|off|require volatile workdir:path xino:on|off|auto";

constexpr std::string_view kNfs =
    "ac acdirmax:number acdirmin:number acl acregmax:number acregmin:number actimeo:number "
    "addr:address bg bsize:number clientaddr:address cto fg fsc?:word hard intr "
    "local_lock:all|flock|posix|none "
    "lock lookupcache:all|none|pos|positive max_connect:number migration minorversion:number "
    "mountaddr:address mounthost:address mountport:number mountproto:word mountvers:number "
    "namlen:number nconnect:number nfsvers:word noac noacl nocto nofsc nointr nolock nomigration "
    "noposix nordirplus noresvport nosharecache port:number posix proto:word rdirplus?:word "
    "resvport retrans:number retry:number rsize:size sec:word sharecache sloppy soft softerr "
    "softreval nosoftreval tcp timeo:number trunkdiscovery notrunkdiscovery udp v2 v3 "
    "v4 v4.0 v4.1 v4.2 vers:word "
    "write:lazy|eager|wait wsize:size xprtsec:none|tls|mtls";

constexpr std::string_view kCifs =
    "acdirmax:number acl acregmax:number actimeo:number addr:address backupgid:id backupuid:id "
    "bsize:number cache:none|strict|loose|ro|singleclient cifsacl closetimeo:number "
    "compress credentials:path cred:path cruid:id dfs dir_mode:octal dom:text domain:text "
    "domainauto dynperm echo_interval:number esize:number fakemountopts file_mode:octal forcegid "
    "forceuid fsc gid:id guest handlecache handletimeout:number hard idsfromsid intr "
    "iocharset:word "
    "ip:address locallease lock locks max_channels:number max_credits:number mapchars mapposix "
    "mfsymlinks min_enc_offload:number modefromsid multichannel multiuser netbiosname:word nobrl "
    "nodfs nohandlecache nointr nolease nolock nomapchars nomapposix nomultichannel noperm "
    "nopersistenthandles noposix noposixpaths noresilienthandles noserverino nosetuids nosharesock "
    "nostrictsync noxattr nouser_xattr pass:secret pass2:secret password:secret password2:secret "
    "perm persistenthandles port:number posix posixpaths prefixpath:text rdma "
    "resilienthandles retrans:number rsize:size rwpidforward seal sec:word serverino servern:word "
    "setuids sfu sign sloppy snapshot:word soft srcaddr:address symlink:word "
    "tcpnodelay uid:id unix uname:text user:text user_xattr username:text vers:word wsize:size "
    "xattr";

constexpr std::string_view k9p =
    "access:user|any|client|posixacl aname:text cache?:word cachetag:word dfltgid:id dfltuid:id "
    "locktimeout:number msize:size noextend nodevmap port:number posixacl privport "
    "trans:tcp|unix|virtio|xen|rdma uname:text version:9p2000|9p2000.u|9p2000.L ignoreqv";

constexpr std::string_view kCeph =
    "abort_on_full acl addr:address asyncreaddir caps_max:number caps_wanted_delay_max:number "
    "caps_wanted_delay_min:number cephx_require_signatures cephx_sign_messages clean_recover "
    "conf:path "
    "copyfrom crc crush_location:word dcache dirstat fs:word fsc?:word fsid:word ino32 "
    "ip:address key:secret mds_namespace:word mon_addr:word mount_timeout:number ms_mode:word "
    "name:word "
    "noacl noasyncreaddir nocephx_require_signatures nocephx_sign_messages nocopyfrom nocrc "
    "nodcache nodirstat nofsc noino32 nopagecache nopoolperm noquotadf norbytes noshare "
    "notcp_nodelay nowsync osd_idle_ttl:number osd_request_timeout:number "
    "osdkeepalivetimeout:number "
    "pagecache poolperm quotadf rasize:size rbytes readdir_max_bytes:size "
    "readdir_max_entries:number read_from_replica:no|balance|localize recover_session:no|clean "
    "rsize:size secret:secret secretfile:path share snapdirname:word tcp_nodelay wsize:size wsync";

constexpr std::string_view kGluster =
    "acl attribute-timeout:number auto-invalidation:on|off|yes|no|true|false "
    "background-qlen:number backup-volfile-servers:word backupvolfile-server:address "
    "congestion-threshold:number direct-io-mode:enable|disable|auto|yes|no entry-timeout:number "
    "event-history:on|off fopen-keep-cache?:word gid-timeout:number "
    "log-level:TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL|NONE lru-limit:number "
    "negative-timeout:number no-root-squash:yes|no reader-thread-count:number resolve-gids "
    "root-squash:yes|no selinux thin-client transport:tcp|rdma use-readdirp:yes|no "
    "volfile-max-fetch-attempts:number xlator-option:word";

// What libfuse and the kernel take for every FUSE file system.
constexpr std::string_view kFuse =
    "allow_other allow_root async_read atomic_o_trunc attr_timeout:decimal auto_cache auto_unmount "
    "big_writes blkdev blksize:number congestion_threshold:number default_permissions direct_io "
    "entry_timeout:decimal fsname:text gid:id hard_remove intr kernel_cache large_read "
    "max_background:number max_idle_threads:number max_read:number max_readahead:number "
    "max_threads:number max_write:number negative_timeout:decimal noforget nonempty "
    "remember:number "
    "sync_read uid:id umask:octal use_ino readdir_ino writeback_cache";

constexpr std::string_view kSshfs =
    "AddressFamily:any|inet|inet6 BatchMode:yes|no BindAddress:address Ciphers:word "
    "Compression:yes|no ConnectTimeout:number ConnectionAttempts:number GlobalKnownHostsFile:path "
    "HostKeyAlgorithms:word HostKeyAlias:word HostName:address IdentitiesOnly:yes|no "
    "IdentityFile:path KexAlgorithms:word LogLevel:word MACs:word NumberOfPasswordPrompts:number "
    "PasswordAuthentication:yes|no Port:number PreferredAuthentications:word "
    "PubkeyAuthentication:yes|no ServerAliveCountMax:number ServerAliveInterval:number "
    "StrictHostKeyChecking:yes|no|accept-new|off TCPKeepAlive:yes|no User:word "
    "UserKnownHostsFile:path cache:yes|no cache_timeout:number compression:yes|no "
    "dcache_clean_interval:number dcache_dir_timeout:number dcache_link_timeout:number "
    "dcache_max_size:number dcache_min_clean_interval:number dcache_stat_timeout:number "
    "dcache_timeout:number delay_connect dir_cache:yes|no disable_hardlink follow_symlinks "
    "gidfile:path idmap:none|user|file max_conns:number no_check_root no_readahead "
    "nomap:ignore|error port:number reconnect sshfs_sync sync_readdir transform_symlinks "
    "uidfile:path workaround:word";

// rclone takes "_" for "-" and the other way round.
constexpr std::string_view kRclone =
    "allow-non-empty allow-other allow-root async-read?:word attr-timeout:word buffer-size:word "
    "bwlimit:word cache-dir:path checkers:number config:path contimeout:word daemon-timeout:word "
    "daemon-wait:word default-permissions devname:text dir-cache-time:word dir-perms:octal "
    "file-perms:octal gid:id links max-read-ahead:word no-checksum no-modtime no-seek "
    "poll-interval:word read-only timeout:word tpslimit:decimal transfers:number uid:id "
    "umask:octal "
    "vfs-cache-max-age:word vfs-cache-max-size:word vfs-cache-mode:off|minimal|writes|full "
    "vfs-cache-poll-interval:word vfs-case-insensitive vfs-disk-space-total-size:word "
    "vfs-fast-fingerprint vfs-read-ahead:word vfs-read-chunk-size:word "
    "vfs-read-chunk-size-limit:word vfs-read-wait:word vfs-used-is-size vfs-write-back:word "
    "vfs-write-wait:word write-back-cache";

constexpr std::string_view kS3fs =
    "bucket:word compat_dir complement_stat connect_timeout:number dbglevel:word default_acl:word "
    "del_cache enable_content_md5 enable_noobj_cache endpoint:word ensure_diskfree:number "
    "iam_role?:word "
    "list_object_max_keys:number max_dirty_data:number max_stat_cache_size:number mp_umask:octal "
    "multipart_size:number multireq_max:number no_check_certificate nocopyapi nomultipart "
    "norenameapi noobj_cache parallel_count:number passwd_file:path readwrite_timeout:number "
    "region:word retries:number sigv2 sigv4 singlepart_copy_limit:number "
    "ssl_verify_hostname:number stat_cache_expire:number storage_class:word url:word "
    "use_cache:path "
    "use_path_request_style use_rrs?:number use_sse?:word use_xattr";

constexpr bool kByKernel = false, kByHelper = true, kElsewhere = true;

constexpr std::array kFamilies = {
    FileSystemRules{"tmpfs ramfs", kTmpfs, kByKernel, kElsewhere},
    FileSystemRules{"ext2 ext3 ext4", kExt4},
    FileSystemRules{"xfs", kXfs},
    FileSystemRules{"btrfs", kBtrfs},
    FileSystemRules{"f2fs", kF2fs},
    FileSystemRules{"vfat msdos exfat", kFat},
    FileSystemRules{"ntfs3", kNtfs},
    FileSystemRules{"iso9660 udf squashfs erofs", kReadOnlyImages},
    FileSystemRules{"overlay", kOverlay, kByKernel, kElsewhere},
    FileSystemRules{"nfs nfs4", kNfs, kByKernel, kElsewhere},
    FileSystemRules{"cifs smb3", kCifs, kByKernel, kElsewhere},
    FileSystemRules{"9p", k9p, kByKernel, kElsewhere},
    FileSystemRules{"virtiofs", "dax?:always|never|inode", kByKernel, kElsewhere},
    FileSystemRules{"ceph", kCeph, kByKernel, kElsewhere},
    FileSystemRules{"glusterfs fuse.glusterfs", kGluster, kByHelper, kElsewhere},
    FileSystemRules{"sshfs fuse.sshfs", kSshfs, kByHelper, kElsewhere},
    FileSystemRules{"rclone fuse.rclone", kRclone, kByHelper},  // whose remotes may be local
    FileSystemRules{"s3fs fuse.s3fs", kS3fs, kByHelper, kElsewhere},
};

// Of every mount, but for the flags that mount_options.cc knows by itself.
constexpr std::string_view kCommon =
    "async auto defaults dirsync iversion lazytime loud mand noauto nofail noiversion nolazytime "
    "nomand silent sync _netdev";

// Names of options that are never passed to a program we know nothing of: they make such programs
// run others, load code, write elsewhere or take over descriptors.
constexpr std::string_view kRefusedParts =
    "command cmd exec script program prog shell hook helper lib plugin module preload env log "
    "trace dump pid fd socket proxy daemon setuid setgid chroot chdir conf remount move bind "
    "source "
    "x-mount x-initrd x-systemd";

// Programs that mount.fuse may start where they have no mount.<type> program of their own. It would
// start any other as well, whatever it does.
constexpr std::string_view kFusePrograms =
    "bindfs blobfuse2 ciopfs cryfs encfs gcsfuse gocryptfs goofys juicefs mergerfs rclone s3fs "
    "s3ql squashfuse sshfs unionfs";

constexpr std::size_t kMaxValue = 255;  // fsconfig(2)
constexpr std::size_t kMaxPaths = 4095;

std::string_view next_word(std::string_view& rest, char separator = ' ') {
  auto end = rest.find(separator);
  auto word = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return word;
}

bool lists(std::string_view words, std::string_view wanted, char separator = ' ') {
  while (!words.empty()) {
    if (next_word(words, separator) == wanted) return true;
  }
  return false;
}

struct Rule {
  std::string_view name;
  std::string_view kind;  // empty: a flag
  bool value_optional = false;
};

Rule parse_rule(std::string_view word) {
  auto colon = word.find(':');
  if (colon == std::string_view::npos) return {word, {}, false};
  bool optional = colon > 0 && word[colon - 1] == '?';
  return {word.substr(0, colon - (optional ? 1 : 0)), word.substr(colon + 1), optional};
}

std::optional<Rule> find_rule(std::string_view options, std::string_view key) {
  while (!options.empty()) {
    auto rule = parse_rule(next_word(options));
    if (rule.name == key) return rule;
  }
  return std::nullopt;
}

bool is_number(std::string_view text, int base, std::uint64_t limit) {
  std::uint64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return failure == std::errc() && end == text.data() + text.size() && value <= limit;
}

bool is_decimal(std::string_view text) {
  auto point = text.find('.');
  constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
  return is_number(text.substr(0, point), 10, kAny) &&
         (point == std::string_view::npos || is_number(text.substr(point + 1), 10, kAny));
}

bool is_size(std::string_view text, bool or_percent) {
  constexpr std::string_view kSuffixes = "kKmMgGtTpPeE";
  if (!text.empty() &&
      (kSuffixes.find(text.back()) != std::string_view::npos || (or_percent && text.back() == '%')))
    text.remove_suffix(1);
  return is_number(text, 10, std::numeric_limits<std::int64_t>::max());
}

bool has_only(std::string_view text, std::string_view beside_letters_and_digits) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           beside_letters_and_digits.find(c) != std::string_view::npos;
  });
}

bool is_path(std::string_view text) { return text.starts_with('/'); }

struct Kind {
  std::string_view name;
  std::string_view words;
  bool (*accepts)(std::string_view);
};
constexpr std::uint64_t kMaxId = 0xfffffffe;  // one more says "none" to the kernel
constexpr std::array kKinds = {
    Kind{"number", "a whole number",
         [](std::string_view text) {
           return is_number(text, 10, std::numeric_limits<std::int64_t>::max());
         }},
    Kind{"decimal", "a number", is_decimal},
    Kind{"id", "a number from 0 to 4294967294",
         [](std::string_view text) { return is_number(text, 10, kMaxId); }},
    Kind{"octal", "an octal mode from 0 to 7777",
         [](std::string_view text) { return is_number(text, 8, 07777); }},
    Kind{"size", "a size such as 4096 or 64k",
         [](std::string_view text) { return is_size(text, false); }},
    Kind{"size%", "a size such as 64m or 10%",
         [](std::string_view text) { return is_size(text, true); }},
    Kind{"word", "letters, digits and ._:/@+=-",
         [](std::string_view text) { return has_only(text, "._:/@+=-"); }},
    Kind{"address", "a host name or an address",
         [](std::string_view text) { return has_only(text, ".:-_%[]") && text[0] != '-'; }},
    Kind{"path", "an absolute path", is_path},
    Kind{"paths", "absolute paths with \":\" between", is_path},
    Kind{"text", "a text", [](std::string_view) { return true; }},
    Kind{"secret", "a text", [](std::string_view) { return true; }},
};

Status check_value(const Rule& rule, const std::string& value) {
  std::string_view shown = is_secret_option(rule.name) ? "********" : std::string_view(value);
  auto refuse = [&](std::string_view words) {
    return fail(Code::kInvalidArgument, "invalid mount option \"{}={}\": it takes {}", rule.name,
                shown, words);
  };
  std::size_t limit = rule.kind == "paths" || rule.kind == "path" ? kMaxPaths : kMaxValue;
  if (value.size() > limit)
    return fail(Code::kInvalidArgument, "mount option \"{}\" is longer than {} bytes", rule.name,
                limit);
  for (const auto& kind : kKinds) {
    if (kind.name != rule.kind) continue;
    if (value.empty() || !kind.accepts(value)) return refuse(kind.words);
    return {};
  }
  if (lists(rule.kind, value, '|')) return {};
  std::string choices;
  for (auto rest = rule.kind; !rest.empty();)
    choices += fmt::format("{}{}", choices.empty() ? "one of " : ", ", next_word(rest, '|'));
  return refuse(choices);
}

Status check_by_rule(const Rule& rule, const std::optional<std::string>& value) {
  if (rule.kind.empty()) {
    if (!value) return {};
    return fail(Code::kInvalidArgument, "mount option \"{}\" takes no value", rule.name);
  }
  if (value) return check_value(rule, *value);
  if (rule.value_optional) return {};
  return fail(Code::kInvalidArgument, "mount option \"{}\" needs a value", rule.name);
}

std::string names_of(std::string_view options) {
  std::string names;
  while (!options.empty()) {
    auto rule = parse_rule(next_word(options));
    names += fmt::format("{}{}{}", names.empty() ? "" : ", ", rule.name,
                         rule.kind.empty() || rule.value_optional ? "" : "=");
  }
  return names;
}

bool is_fuse(std::string_view type) { return type.starts_with("fuse."); }

std::optional<Rule> rule_of(const FileSystemRules& rules, std::string_view key) {
  std::string dashed(key);
  if (rules.options == kRclone) std::replace(dashed.begin(), dashed.end(), '_', '-');
  if (auto rule = find_rule(rules.options, dashed)) return rule;
  if (rules.by_helper && rules.options != kGluster) return find_rule(kFuse, key);
  return std::nullopt;
}

// An option of a file system that is not listed.
Status check_unlisted(std::string_view type, std::string_view key,
                      const std::optional<std::string>& value) {
  if (is_fuse(type)) {
    if (auto rule = find_rule(kFuse, key)) return check_by_rule(*rule, value);
  }
  bool plain = !key.empty() && key.size() <= 64 && key[0] != '-' && has_only(key, "._-");
  std::string lower(key);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  for (auto parts = kRefusedParts; plain && !parts.empty();)
    plain = lower.find(next_word(parts)) == std::string::npos;
  if (!plain)
    return fail(Code::kInvalidArgument,
                "invalid mount option \"{}\": not allowed for file system type \"{}\"", key, type);
  if (value && (value->empty() || value->size() > kMaxValue || !is_safe_for_helper(*value)))
    return fail(Code::kInvalidArgument,
                "invalid mount option \"{}\": its value must have 1 to {} characters, and none of "
                "\" ' ` \\ $ ; | & < >",
                key, kMaxValue);
  return {};
}

}  // namespace

const FileSystemRules* find_rules(std::string_view type) {
  for (const auto& family : kFamilies) {
    if (lists(family.types, type)) return &family;
  }
  return nullptr;
}

Status check_option(std::string_view type, std::string_view key,
                    const std::optional<std::string>& value) {
  if (auto rule = find_rule(kCommon, key)) return check_by_rule(*rule, value);
  const auto* rules = find_rules(type);
  if (!rules) return check_unlisted(type, key, value);
  if (auto rule = rule_of(*rules, key)) return check_by_rule(*rule, value);
  return fail(Code::kInvalidArgument,
              "invalid mount option \"{}\" for file system type \"{}\": allowed are {}, and {}",
              key, type, names_of(rules->options), names_of(kCommon));
}

bool takes_paths(std::string_view type, std::string_view key) {
  const auto* rules = find_rules(type);
  auto rule = rules ? rule_of(*rules, key) : std::nullopt;
  return rule && (rule->kind == "path" || rule->kind == "paths");
}

bool is_secret_option(std::string_view key) {
  for (const auto& family : kFamilies) {
    if (auto rule = find_rule(family.options, key); rule && rule->kind == "secret") return true;
  }
  return key.find("pass") != std::string_view::npos || key.find("secret") != std::string_view::npos;
}

bool is_fuse_program(std::string_view name) { return lists(kFusePrograms, name); }

bool is_safe_for_helper(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ||
           std::string_view("\"'`\\$;|&<>").find(c) != std::string_view::npos;
  });
}

}  // namespace holdfast
