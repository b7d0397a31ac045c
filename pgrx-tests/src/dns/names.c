/* Put before the C library of a server under test: names are asked of the DNS server on a port of this machine, and
   the first interface gets another address. The resolver itself is the real one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <resolv.h>
#include <stdlib.h>

/* Asks files and that server alone: a machine may have its names from elsewhere, such as systemd-resolved or nscd.
   Before main, when there is one thread. */
__attribute__((constructor)) static void ask_files_and_dns(void)
{
    if (getenv("TEST_DNS_PORT") != NULL)
        __nss_configure_lookup("hosts", "files dns");
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    const char *port = getenv("TEST_DNS_PORT");

    /* Once a thread: an initialisation that fails later, as without descriptors, has freed addresses that the resolver
       reads all the same. */
    if (port != NULL && ((_res.options & RES_INIT) != 0 || res_init() == 0)) {
        _res.nscount = 1;
        _res.nsaddr_list[0].sin_family = AF_INET;
        _res.nsaddr_list[0].sin_port = htons((unsigned short) atoi(port));
        _res.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        /* What the machine has in its resolv.conf is for the server that is named there. */
        _res.retrans = RES_TIMEOUT;
        _res.retry = RES_DFLRETRY;
        _res.options |= RES_NORELOAD;
        _res.options &= ~(unsigned long) (RES_DNSRCH | RES_DEFNAMES);
    }
    return real(node, service, hints, found);
}

int getifaddrs(struct ifaddrs **list)
{
    int (*real)(struct ifaddrs **) = dlsym(RTLD_NEXT, "getifaddrs");
    const char *own = getenv("TEST_OWN_ADDRESS");
    int result = real(list);

    for (struct ifaddrs *each = result == 0 && own != NULL ? *list : NULL; each != NULL; each = each->ifa_next) {
        if (each->ifa_addr != NULL && each->ifa_addr->sa_family == AF_INET) {
            inet_pton(AF_INET, own, &((struct sockaddr_in *) each->ifa_addr)->sin_addr);
            break;
        }
    }
    return result;
}
