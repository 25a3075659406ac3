# A pair: one virtual IP in front of Redis on two hosts, with keepalived.
# What is commented out shows its default, or an example where it says so.
#
#   hapair validate     check this file
#   hapair plan         what would change on the hosts
#   hapair apply        change it

# A password stands in no spec. Give it in the environment, as
# HAPAIR_VAR_redis_password, or in a file named with --var-file.
#
# variable "redis_password" {
#   type      = string
#   sensitive = true
# }

pair "cache" {
  # The address that clients use. It is on whichever host is MASTER.
  vip {
    address = "192.168.1.220/32"
  }

  # How to reach the hosts. ssh_config, the agent and known_hosts are used as
  # they are; these say what is not there.
  ssh {
    # user   = "deploy" # example; root needs no become
    # become = "sudo"   # or doas, none
    # jump   = ["bastion.example"] # example
  }

  # Exactly two hosts, the preferred primary first. address is what Redis and
  # VRRP use.
  host "a" {
    address = "192.168.1.218"
    # interface = "eth0" # the one that holds the address
    # priority  = 240
    # ssh { address = "a.mgmt.example" } # where to connect, if not address
  }
  host "b" {
    address = "192.168.1.219"
    # priority = 239
  }

  # The system account that Redis runs as.
  account {
    # user  = "redisadmin"
    # group = "develop"
  }

  redis {
    # prefix   = "/usr/local/redis"
    # port     = 6379
    # password = var.redis_password

    # The distribution's package. To build a version of your choice, write a
    # source block instead:
    #
    # source {
    #   version = "8.0.2"
    #   urls    = ["https://github.com/redis/redis/archive/refs/tags/8.0.2.tar.gz"]
    #   sha256  = "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f"
    # }
    package {}

    # Any directive of redis.conf; a list repeats it.
    config = {
      appendonly = true
      # maxmemory = "2gb" # example
      # save      = ["900 1", "300 10"] # example
    }
  }

  keepalived {
    # prefix            = "/usr/local/keepalived"
    # virtual_router_id = 51 # unique in the hosts' network
    # advert_interval   = "100ms"
    # unicast           = true
    # syslog_facility   = "local0"

    # Fractions of a second in check need keepalived 2.3.2.
    package {}
  }

  # How a host finds out that its own Redis is unwell.
  check {
    # interval    = "1s" # 200ms with a source of keepalived 2.3.2 or later
    # timeout     = "1s"
    # retries     = 1
    # retry_delay = "100ms"
  }

  failover {
    # sync_timeout = "10s" # the longest that a role change waits for data
    # gateway      = "192.168.1.1" # example: decides which host is cut off
    # durability   = "balanced" # or available, strict: writes without a replica
  }

  # What hapair drill is to expect of the pair, where that is not what its
  # timing promises. A drill with steps is a scenario of your own. Examples:
  #
  # drill "kill-redis" {
  #   max_outage      = "1s"
  #   max_lost_writes = 100
  # }
  # drill "dead-port" {
  #   summary = "the primary's network port is dead for half a minute"
  #   step {
  #     fault = "isolate"
  #     on    = "primary" # the default; or replica, both, a host's name
  #   }
  #   step {
  #     expect = "moved" # or stayed, served, holds, healthy, in-sync
  #     within = "5s"    # the default is 10s
  #   }
  #   step { wait = "30s" }
  #   step { undo = true }
  #   step { recover = true }
  #   step { expect = "in-sync" }
  # }
}
