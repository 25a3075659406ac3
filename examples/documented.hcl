# The pair of the 2014 procedure "Redis dual-machine hot standby with
# keepalived", as it describes it: the same versions, addresses, interfaces,
# priorities, folders and timing. What it does badly, hapair does not do even
# here: see the README.

# download.redis.io publishes a SHA-1 for this old release,
# 79b156cc9d8bff5a022fdc6d28d5c42999ddcb4f, but no SHA-256. Check the tarball
# against it once, and give what sha256sum says.
variable "redis_sha256" {
  type        = string
  description = "SHA-256 of redis-2.8.4.tar.gz"
}

variable "sources" {
  type        = string
  default     = "sources"
  description = "A folder that holds the tarballs already; upstream is asked when it does not."
}

variable "vrrp_password" {
  type      = string
  default   = "redis"
  sensitive = true
}

pair "documented" {
  vip {
    address = "192.168.1.220/32"
  }

  ssh {
    user = "root"
  }

  host "a" {
    address   = "192.168.1.218"
    interface = "eth3"
    priority  = 100

    garp_master_delay = "5s" # keepalived's own
  }
  host "b" {
    address           = "192.168.1.219"
    interface         = "eth5"
    priority          = 90
    garp_master_delay = "10s"
  }

  account {
    user  = "redisadmin"
    group = "develop"
  }

  redis {
    prefix = "/usr/local/redis"
    port   = 6379
    source {
      version = "2.8.4"
      urls = [
        "${var.sources}/redis-2.8.4.tar.gz",
        "https://download.redis.io/releases/redis-2.8.4.tar.gz",
      ]
      sha256 = var.redis_sha256
    }
    config = {
      timeout    = 300
      loglevel   = "verbose"
      appendonly = true
    }
  }

  keepalived {
    prefix = "/usr/local/keepalived"
    source {
      version = "1.2.10"
      urls = [
        "${var.sources}/keepalived-1.2.10.tar.gz",
        "https://www.keepalived.org/software/keepalived-1.2.10.tar.gz",
      ]
      sha256 = "16a338dccc7d0f859ca278c05d9bd2e6f7b2cfc109ab9bc3b7162a2e49857b7e"
    }
    virtual_router_id = 51
    advert_interval   = "1s"
    auth_password     = var.vrrp_password
    unicast           = false
    syslog_facility   = "local0"
  }

  check {
    interval    = "10s"
    timeout     = "1s"
    retries     = 1
    retry_delay = "1s"
  }

  failover {
    handlers     = "scripts"
    sync_timeout = "10s"
    durability   = "available"
  }
}
