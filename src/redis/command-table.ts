/**
 * What the commands of real servers do with which of their arguments: what COMMAND says on
 * redis 6.0.16, redis 7.0.15, redis 8.0.2, valkey 8.0.1, valkey 8.1.1, valkey 9.1.2.
 *
 * Made by test/support/generate-command-table.ts, not to be edited. command-keys.ts reads it, and says what it means.
 */
export const commandTable = `
ACL read
APPEND write rw@1
ASKING read
AUTH read
BGREWRITEAOF read
BGSAVE read
BITCOUNT read ro@1
BITFIELD write rw@1
BITFIELD_RO read ro@1
BITOP write ow@2 ro@3..-1
BITPOS read ro@1
BLMOVE write rw@1 rw@2
BLMPOP write rw@2#0+1
BLPOP write rw@1..-2
BRPOP write rw@1..-2
BRPOPLPUSH write rw@1 rw@2
BZMPOP write rw@2#0+1
BZPOPMAX write rw@1..-2
BZPOPMIN write rw@1..-2
CLIENT read
CLUSTER read
CLUSTERSCAN read
CLUSTER|FLUSHSLOT write
COMMAND read
COMMANDLOG read
CONFIG read
COPY write ro@1 ow@2
DBSIZE read
DEBUG read
DECR write rw@1
DECRBY write rw@1
DEL write rm@1..-1
DELIFEQ write rm@1
DISCARD read
DUMP read ro@1
ECHO read
EVAL read rw@2#0+1
EVALSHA read rw@2#0+1
EVALSHA_RO read ro@2#0+1
EVAL_RO read ro@2#0+1
EXEC read
EXISTS read ro@1..-1
EXPIRE write rw@1
EXPIREAT write rw@1
EXPIRETIME read ro@1
FAILOVER read
FCALL read rw@2#0+1
FCALL_RO read ro@2#0+1
FLUSHALL write
FLUSHDB write
FUNCTION read
FUNCTION|DELETE write
FUNCTION|FLUSH write
FUNCTION|LOAD write
FUNCTION|RESTORE write
GEOADD write rw@1
GEODIST read ro@1
GEOHASH read ro@1
GEOPOS read ro@1
GEORADIUS write ro@1 ow@STORE>6 ow@STOREDIST>6
GEORADIUSBYMEMBER write ro@1 ow@STORE>5 ow@STOREDIST>5
GEORADIUSBYMEMBER_RO read ro@1
GEORADIUS_RO read ro@1
GEOSEARCH read ro@1
GEOSEARCHSTORE write ow@1 ro@2
GET read ro@1
GETBIT read ro@1
GETDEL write rw@1
GETEX write rw@1
GETRANGE read ro@1
GETSET write rw@1
HDEL write rw@1
HELLO read
HEXISTS read ro@1
HEXPIRE write rw@1
HEXPIREAT write rw@1
HEXPIRETIME read ro@1
HGET read ro@1
HGETALL read ro@1
HGETDEL write rw@1
HGETEX write rw@1
HINCRBY write rw@1
HINCRBYFLOAT write rw@1
HKEYS read ro@1
HLEN read ro@1
HMGET read ro@1
HMSET write rw@1
HOST: read
HPERSIST write rw@1
HPEXPIRE write rw@1
HPEXPIREAT write rw@1
HPEXPIRETIME read ro@1
HPTTL read ro@1
HRANDFIELD read ro@1
HSCAN read ro@1
HSET write rw@1
HSETEX write rw@1
HSETNX write rw@1
HSTRLEN read ro@1
HTTL read ro@1
HVALS read ro@1
INCR write rw@1
INCRBY write rw@1
INCRBYFLOAT write rw@1
INFO read
KEYS read
LASTSAVE read
LATENCY read
LCS read ro@1..1
LINDEX read ro@1
LINSERT write rw@1
LLEN read ro@1
LMOVE write rw@1 rw@2
LMPOP write rw@1#0+1
LOLWUT read
LPOP write rw@1
LPOS read ro@1
LPUSH write rw@1
LPUSHX write rw@1
LRANGE read ro@1
LREM write rw@1
LSET write rw@1
LTRIM write rw@1
MEMORY read
MEMORY|USAGE read ro@2
MGET read ro@1..-1
MIGRATE write rw@3 rw@KEYS>-2..-1
MODULE read
MONITOR read
MOVE write rw@1
MSET write ow@1..-1/2
MSETEX write ow@1#0+1/2
MSETNX write ow@1..-1/2
MULTI read
OBJECT read
OBJECT|ENCODING read ro@2
OBJECT|FREQ read ro@2
OBJECT|IDLETIME read ro@2
OBJECT|REFCOUNT read ro@2
PERSIST write rw@1
PEXPIRE write rw@1
PEXPIREAT write rw@1
PEXPIRETIME read ro@1
PFADD write rw@1
PFCOUNT read rw@1..-1
PFDEBUG write rw@2
PFMERGE write rw@1 ro@2..-1
PFSELFTEST read
PING read
POST read
PSETEX write ow@1
PSUBSCRIBE read
PSYNC read
PTTL read ro@1
PUBLISH read
PUBSUB read
PUNSUBSCRIBE read
QUIT read
RANDOMKEY read
READONLY read
READWRITE read
RENAME write rw@1 ow@2
RENAMENX write rw@1 ow@2
REPLCONF read
REPLICAOF read
RESET read
RESTORE write ow@1
RESTORE-ASKING write ow@1
ROLE read
RPOP write rw@1
RPOPLPUSH write rw@1 rw@2
RPUSH write rw@1
RPUSHX write rw@1
SADD write rw@1
SAVE read
SCAN read
SCARD read ro@1
SCRIPT read
SDIFF read ro@1..-1
SDIFFSTORE write ow@1 ro@2..-1
SELECT read
SET write rw@1
SETBIT write rw@1
SETEX write ow@1
SETNX write ow@1
SETRANGE write rw@1
SHUTDOWN read
SINTER read ro@1..-1
SINTERCARD read ro@1#0+1
SINTERSTORE write rw@1 ro@2..-1
SISMEMBER read ro@1
SLAVEOF read
SLOWLOG read
SMEMBERS read ro@1
SMISMEMBER read ro@1
SMOVE write rw@1 rw@2
SORT write ro@1 rw@?
SORT_RO read ro@1 ro@?
SPOP write rw@1
SPUBLISH read
SRANDMEMBER read ro@1
SREM write rw@1
SSCAN read ro@1
SSUBSCRIBE read
STRALGO read
STRLEN read ro@1
SUBSCRIBE read
SUBSTR read ro@1
SUNION read ro@1..-1
SUNIONSTORE write ow@1 ro@2..-1
SUNSUBSCRIBE read
SWAPDB write
SYNC read
TIME read
TOUCH read ro@1..-1
TTL read ro@1
TYPE read ro@1
UNLINK write rm@1..-1
UNSUBSCRIBE read
UNWATCH read
VADD write rw@1
VCARD read rw@1
VDIM read rw@1
VEMB read rw@1
VGETATTR read rw@1
VINFO read rw@1
VISMEMBER read rw@1
VLINKS read rw@1
VRANDMEMBER read rw@1
VREM write rw@1
VSETATTR write rw@1
VSIM read rw@1
WAIT read
WAITAOF read
WATCH read ro@1..-1
XACK write rw@1
XADD write rw@1
XAUTOCLAIM write rw@1
XCLAIM write rw@1
XDEL write rw@1
XGROUP write
XGROUP|CREATE write rw@2
XGROUP|CREATECONSUMER write rw@2
XGROUP|DELCONSUMER write rw@2
XGROUP|DESTROY write rw@2
XGROUP|SETID write rw@2
XINFO read
XINFO|CONSUMERS read ro@2
XINFO|GROUPS read ro@2
XINFO|STREAM read ro@2
XLEN read ro@1
XPENDING read ro@1
XRANGE read ro@1
XREAD read ro@STREAMS>1..-1%2
XREADGROUP write ro@STREAMS>4..-1%2
XREVRANGE read ro@1
XSETID write rw@1
XTRIM write rw@1
ZADD write rw@1
ZCARD read ro@1
ZCOUNT read ro@1
ZDIFF read ro@1#0+1
ZDIFFSTORE write ow@1 ro@2#0+1
ZINCRBY write rw@1
ZINTER read ro@1#0+1
ZINTERCARD read ro@1#0+1
ZINTERSTORE write ow@1 ro@2#0+1
ZLEXCOUNT read ro@1
ZMPOP write rw@1#0+1
ZMSCORE read ro@1
ZPOPMAX write rw@1
ZPOPMIN write rw@1
ZRANDMEMBER read ro@1
ZRANGE read ro@1
ZRANGEBYLEX read ro@1
ZRANGEBYSCORE read ro@1
ZRANGESTORE write ow@1 ro@2
ZRANK read ro@1
ZREM write rw@1
ZREMRANGEBYLEX write rw@1
ZREMRANGEBYRANK write rw@1
ZREMRANGEBYSCORE write rw@1
ZREVRANGE read ro@1
ZREVRANGEBYLEX read ro@1
ZREVRANGEBYSCORE read ro@1
ZREVRANK read ro@1
ZSCAN read ro@1
ZSCORE read ro@1
ZUNION read ro@1#0+1
ZUNIONSTORE write ow@1 ro@2#0+1
`;
