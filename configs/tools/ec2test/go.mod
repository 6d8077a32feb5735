module github.com/burstctl/burstctl/configs/tools/ec2test

go 1.26.0

require gopkg.in/amz.v3 v3.0.0-20201001071545-24fc1eceb27b

require gopkg.in/check.v1 v1.0.0-20201130134442-10cb98267c6c // indirect
