#pragma once

#include "command.h"

// One function a verb, defined in the file of its name; command_table.cc lists them.
namespace holdfast::cli {

// containers
Command attach_command();
Command commit_command();
Command container_prune_command();
Command cp_command();
Command create_command();
Command diff_command();
Command exec_command();
Command export_command();
Command kill_command();
Command logs_command();
Command pause_command();
Command port_command();
Command ps_command();
Command rename_command();
Command restart_command();
Command rm_command();
Command run_command();
Command start_command();
Command stats_command();
Command stop_command();
Command top_command();
Command unpause_command();
Command update_command();
Command wait_command();

// images
Command history_command();
Command image_prune_command();
Command images_command();
Command import_command();
Command load_command();
Command pull_command();
Command push_command();
Command rmi_command();
Command save_command();
Command tag_command();

// volumes
Command migrate_command();
Command volume_create_command();
Command volume_ls_command();
Command volume_prune_command();
Command volume_rename_command();
Command volume_rm_command();
Command volume_update_command();
// "5 minutes ago", or "never": of a volume as the daemon describes it.
std::string last_used_text(const json::Object& volume);

// networks
Command network_connect_command();
Command network_create_command();
Command network_disconnect_command();
Command network_ls_command();
Command network_prune_command();
Command network_rm_command();

// secrets
Command secret_create_command();
Command secret_ls_command();
Command secret_rm_command();

// inspecting, in inspect.cc
Command container_inspect_command();
Command image_inspect_command();
Command inspect_command();
Command network_inspect_command();
Command plugin_inspect_command();
Command secret_inspect_command();
Command volume_inspect_command();

// the rest
Command events_command();
Command info_command();
Command login_command();
Command logout_command();
Command plugin_ls_command();
Command system_df_command();
Command system_prune_command();
Command version_command();

}  // namespace holdfast::cli
