# What "make demo" applies to two throw-away hosts on this machine: Redis and
# keepalived built from source, with timing that makes failover fast.

variable "sources" {
  type        = string
  default     = "sources"
  description = "A folder that holds the tarballs already; upstream is asked when it does not."
}

pair "quickstart" {
  vip {
    address = "192.168.1.220/32"
  }

  ssh {
    user = "deploy"
  }

  host "a" {
    address   = "192.168.1.218"
    interface = "eth3"
    priority  = 240
  }
  host "b" {
    address   = "192.168.1.219"
    interface = "eth5"
    priority  = 239
  }

  redis {
    source {
      version = "7.0.15"
      urls = [
        "${var.sources}/redis-7.0.15.tar.gz",
        "https://github.com/redis/redis/archive/refs/tags/7.0.15.tar.gz",
      ]
      sha256 = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
    }
    config = {
      appendonly = true
    }
  }

  keepalived {
    source {
      version = "2.3.3"
      urls = [
        "${var.sources}/keepalived-2.3.3.tar.gz",
        "https://www.keepalived.org/software/keepalived-2.3.3.tar.gz",
      ]
      sha256 = "2288c5c7609fa452782b7acefa19acce742d0204dc17f54d36da46b10f8b590c"
    }
    virtual_router_id = 51
    advert_interval   = "100ms"
  }

  check {
    interval    = "200ms"
    timeout     = "1s"
    retries     = 1
    retry_delay = "100ms"
  }

  failover {
    sync_timeout = "10s"
  }
}
