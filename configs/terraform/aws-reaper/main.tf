# The last layer of the dead-man switch, in the AWS account itself: every five
# minutes a function ends what carries our tags and is past its expiry. It knows
# neither controller nor log, and may do nothing else.
#
# Not run by us: terraform validate and apply. A test of ours reads this file and
# checks its blocks, variables and references.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "Name of the function and of all that belongs to it."
  type        = string
  default     = "burst-reaper"
}

variable "package" {
  description = "Path of a zip that holds bootstrap (beside this file), burstctl and reaper.yaml."
  type        = string
}

variable "owner" {
  description = "The trust domain in the tag burstctl:owner that every node of ours carries."
  type        = string
}

variable "alarm_topic" {
  description = "ARN of the SNS topic that hears of a reaper that fails or is silent."
  type        = string
}

variable "schedule" {
  description = "How often it runs."
  type        = string
  default     = "rate(5 minutes)"
}

resource "aws_iam_role" "reaper" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

# Listing cannot be narrowed to tags; ending can, and is.
data "aws_iam_policy_document" "reap" {
  statement {
    actions   = ["ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests", "ec2:DescribeAvailabilityZones"]
    resources = ["*"]
  }
  statement {
    actions   = ["ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"]
    resources = ["arn:aws:ec2:*:*:instance/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/burstctl:owner"
      values   = [var.owner]
    }
  }
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.reaper.arn}:*"]
  }
}

resource "aws_iam_role_policy" "reap" {
  name   = var.name
  role   = aws_iam_role.reaper.id
  policy = data.aws_iam_policy_document.reap.json
}

resource "aws_cloudwatch_log_group" "reaper" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 90
}

resource "aws_lambda_function" "reaper" {
  function_name                  = var.name
  role                           = aws_iam_role.reaper.arn
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["x86_64"]
  timeout                        = 240
  memory_size                    = 256
  reserved_concurrent_executions = 1
  depends_on                     = [aws_cloudwatch_log_group.reaper, aws_iam_role_policy.reap]
}

resource "aws_cloudwatch_event_rule" "often" {
  name                = var.name
  schedule_expression = var.schedule
}

resource "aws_cloudwatch_event_target" "reaper" {
  rule = aws_cloudwatch_event_rule.often.name
  arn  = aws_lambda_function.reaper.arn
}

resource "aws_lambda_permission" "often" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.reaper.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.often.arn
}

# A reaper that fails, and one that does not run at all, is somebody's business.
resource "aws_cloudwatch_metric_alarm" "fails" {
  alarm_name          = "${var.name}-fails"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.reaper.function_name }
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  alarm_actions       = [var.alarm_topic]
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  alarm_name          = "${var.name}-silent"
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.reaper.function_name }
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alarm_topic]
}

output "function" {
  description = "ARN of the function."
  value       = aws_lambda_function.reaper.arn
}
