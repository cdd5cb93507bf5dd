/* Unit tests of collector/own: whose cgroup, whose mounts. */
#include "collector/own.h"

#include "tests/lib/check.h"

#define ID    "47faa53c8566946f30a8fc6281236b74c131ec9aea5e897c36a8fb5a14e97afe"
#define OTHER "0000a53c8566946f30a8fc6281236b74c131ec9aea5e897c36a8fb5a14e97afe"

static void a_container_knows_its_id_by_its_cgroup(void **state)
{
    struct own o;

    (void)state;
    own_scan(&o, STR("0::/system.slice/docker-" ID ".scope\n"), STR_NULL);
    assert_true(own_is(&o, STR("/var/lib/docker/containers/" ID "/" ID "-json.log")));
    assert_false(own_is(&o, STR("/var/lib/docker/containers/" OTHER "/" OTHER "-json.log")));
}

static void or_by_what_is_bound_over_its_hostname(void **state)
{
    struct own o;

    (void)state;
    own_scan(&o, STR("0::/\n"),
             STR("521 510 8:1 /var/lib/docker/overlay2/" OTHER "/merged / rw - overlay overlay rw\n"
                 "522 510 8:1 /var/lib/docker/containers/" ID
                 "/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"));
    assert_true(own_is(&o, STR("/var/lib/docker/containers/" ID "/" ID "-json.log")));
    assert_false(own_is(&o, STR("/x/" OTHER "/y")));
}

static void a_pod_is_known_by_its_uid(void **state)
{
    struct own o;

    (void)state;
    own_scan(&o,
             STR("0::/kubepods.slice/"
                 "kubepods-burstable-pod0b1c2d3e_1111_2222_3333_444455556666.slice/cri-x.scope\n"),
             STR_NULL);
    assert_true(own_is(&o, STR("/var/log/pods/ns_p_0b1c2d3e-1111-2222-3333-444455556666/c/0.log")));
    assert_false(
        own_is(&o, STR("/var/log/pods/ns_p_0b1c2d3e-1111-2222-3333-444455556667/c/0.log")));
}

static void on_a_host_nothing_is_ours(void **state)
{
    struct own o;

    (void)state;
    own_scan(&o, STR("0::/user.slice/user-0.slice/session-3.scope\n"),
             STR("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"));
    assert_int_equal(o.n, 0);
    assert_false(own_is(&o, STR("/var/log/pods/a/b/0.log")));
}

CHECK_MAIN(cmocka_unit_test(a_container_knows_its_id_by_its_cgroup),
           cmocka_unit_test(or_by_what_is_bound_over_its_hostname),
           cmocka_unit_test(a_pod_is_known_by_its_uid), cmocka_unit_test(on_a_host_nothing_is_ours))
