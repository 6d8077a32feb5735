# The last layer of the dead-man switch, in the Azure subscription itself: every
# five minutes a job deletes what carries our tags and is past its expiry. A
# machine there that only powers off is still paid for. It knows neither
# controller nor log, and may do nothing else.
#
# Not run by us: terraform validate and apply. A test of ours reads this file and
# checks its blocks, variables and references.

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
  }
}

variable "name" {
  description = "Name of the job and of all that belongs to it."
  type        = string
  default     = "burst-reaper"
}

variable "resource_group" {
  description = "Name of the resource group that the nodes are made in."
  type        = string
}

variable "location" {
  description = "Where the job runs."
  type        = string
}

variable "image" {
  description = "An image, by digest, that holds burstctl and /reaper.yaml."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest."
  }
}

variable "schedule" {
  description = "How often it runs, as cron writes it, in UTC."
  type        = string
  default     = "*/5 * * * *"
}

variable "alarm_group" {
  description = "ID of the action group that hears of a reaper that fails."
  type        = string
}

data "azurerm_resource_group" "nodes" {
  name = var.resource_group
}

resource "azurerm_user_assigned_identity" "reaper" {
  name                = var.name
  location            = var.location
  resource_group_name = data.azurerm_resource_group.nodes.name
}

resource "azurerm_role_definition" "reap" {
  name  = var.name
  scope = data.azurerm_resource_group.nodes.id
  permissions {
    actions = [
      "Microsoft.Compute/virtualMachines/read",
      "Microsoft.Compute/virtualMachines/instanceView/read",
      "Microsoft.Compute/virtualMachines/delete",
      "Microsoft.Compute/disks/read",
      "Microsoft.Compute/disks/delete",
      "Microsoft.Network/networkInterfaces/read",
      "Microsoft.Network/networkInterfaces/delete",
    ]
  }
  assignable_scopes = [data.azurerm_resource_group.nodes.id]
}

resource "azurerm_role_assignment" "reap" {
  scope              = data.azurerm_resource_group.nodes.id
  role_definition_id = azurerm_role_definition.reap.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.reaper.principal_id
}

resource "azurerm_log_analytics_workspace" "reaper" {
  name                = var.name
  location            = var.location
  resource_group_name = data.azurerm_resource_group.nodes.name
  retention_in_days   = 90
}

resource "azurerm_container_app_environment" "reaper" {
  name                       = var.name
  location                   = var.location
  resource_group_name        = data.azurerm_resource_group.nodes.name
  log_analytics_workspace_id = azurerm_log_analytics_workspace.reaper.id
}

resource "azurerm_container_app_job" "reaper" {
  name                         = var.name
  location                     = var.location
  resource_group_name          = data.azurerm_resource_group.nodes.name
  container_app_environment_id = azurerm_container_app_environment.reaper.id
  replica_timeout_in_seconds   = 240
  replica_retry_limit          = 0
  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.reaper.id]
  }
  schedule_trigger_config {
    cron_expression          = var.schedule
    parallelism              = 1
    replica_completion_count = 1
  }
  template {
    container {
      name    = "reaper"
      image   = var.image
      cpu     = 0.25
      memory  = "0.5Gi"
      command = ["/burstctl", "reap", "--account", "--config", "/reaper.yaml", "-o", "json"]
      env {
        name  = "AZURE_CLIENT_ID"
        value = azurerm_user_assigned_identity.reaper.client_id
      }
    }
  }
  depends_on = [azurerm_role_assignment.reap]
}

# A reaper that does not end well three times an hour, or is silent, is somebody's business.
resource "azurerm_monitor_scheduled_query_rules_alert_v2" "silent" {
  name                 = "${var.name}-silent"
  location             = var.location
  resource_group_name  = data.azurerm_resource_group.nodes.name
  scopes               = [azurerm_log_analytics_workspace.reaper.id]
  severity             = 1
  evaluation_frequency = "PT15M"
  window_duration      = "PT15M"
  criteria {
    query                   = "ContainerAppConsoleLogs_CL | where Log_s has '\"kind\":\"Sweep\"' or Log_s has '\"kind\": \"Sweep\"'"
    time_aggregation_method = "Count"
    operator                = "LessThan"
    threshold               = 1
  }
  action {
    action_groups = [var.alarm_group]
  }
}

output "job" {
  description = "ID of the job."
  value       = azurerm_container_app_job.reaper.id
}
