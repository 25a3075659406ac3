# What we recommend. Copy it and change the addresses.
#
# The password comes from outside:
#
#   HAPAIR_VAR_redis_password="$(pass show redis/cache)" hapair plan -f production.hcl

variable "redis_password" {
  type      = string
  sensitive = true
}

locals {
  # Memory for data. Leave room on the host for the copy that a save needs
  # while the data changes.
  maxmemory = "8gb"
}

pair "cache" {
  # With the network's prefix length, the address can be reached from its
  # neighbours even where a router filters /32.
  vip {
    address = "10.20.30.40/24"
  }

  # Hosts are reached over their management addresses, through a bastion.
  ssh {
    user   = "deploy"
    become = "sudo"
    jump   = ["bastion.example.com"]
  }

  host "redis-1" {
    address = "10.20.30.41"
    ssh {
      address = "redis-1.mgmt.example.com"
    }
  }
  host "redis-2" {
    address = "10.20.30.42"
    ssh {
      address = "redis-2.mgmt.example.com"
    }
  }

  account {
    user  = "redis"
    group = "redis"
  }

  redis {
    prefix   = "/opt/redis-cache"
    port     = 6379
    password = var.redis_password
    source {
      version = "8.0.2"
      urls    = ["https://github.com/redis/redis/archive/refs/tags/8.0.2.tar.gz"]
      sha256  = "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f"
    }
    config = {
      loglevel         = "notice"
      timeout          = 0
      tcp-keepalive    = 60
      maxmemory        = local.maxmemory
      maxmemory-policy = "allkeys-lru"

      # On disk within a second, and a compact copy now and then.
      appendonly  = true
      appendfsync = "everysec"
      save        = ["3600 1", "300 100"]

      # Enough for a replica that was away for a reboot to catch up without a
      # full copy.
      repl-backlog-size = "256mb"
      repl-backlog-ttl  = 0

      client-output-buffer-limit = [
        "normal 0 0 0",
        "replica 1gb 512mb 60",
        "pubsub 32mb 8mb 60",
      ]
      latency-monitor-threshold = 100
    }
  }

  keepalived {
    prefix = "/opt/keepalived-cache"
    # A later 2.3 is as good; below 2.3.2 a check cannot run more often than
    # once a second.
    source {
      version = "2.3.3"
      urls    = ["https://www.keepalived.org/software/keepalived-2.3.3.tar.gz"]
      sha256  = "2288c5c7609fa452782b7acefa19acce742d0204dc17f54d36da46b10f8b590c"
    }
    virtual_router_id = 71 # unique in the hosts' network
    advert_interval   = "100ms"
    unicast           = true
  }

  check {
    interval    = "200ms"
    timeout     = "1s"
    retries     = 1
    retry_delay = "100ms"
  }

  # The gateway tells a host that lost its peer from one that lost its network:
  # the latter fences itself.
  failover {
    sync_timeout = "10s"
    gateway      = "10.20.30.1"
    durability   = "balanced"
  }

  # What clients can live with. "hapair drill" fails when it is more, also where
  # the timing would let it pass.
  drill "kill-redis" {
    max_outage      = "2s"
    max_lost_writes = 100
  }
  drill "stop-keepalived" {
    max_outage      = "2s"
    max_lost_writes = 0
  }

  # Both ways in one go: each host takes over from the other.
  drill "there-and-back" {
    summary         = "Redis dies; once it is back, keepalived stops on the host that took over"
    max_outage      = "2s"
    max_lost_writes = 100
    step {
      fault = "kill-redis"
      on    = "primary"
    }
    step {
      expect = "moved"
      within = "2s"
    }
    step {
      recover = true
    }
    step {
      expect = "in-sync"
      within = "5m"
    }
    step {
      fault = "stop-keepalived"
      on    = "primary" # by now the other host
    }
    step {
      expect = "served"
      within = "2s"
    }
  }
}
