"""Prints what a test can compare of a published AMQP specification (its XML, as in Debian's package amqp-specs).

    python3 facts.py /usr/share/amqp/specs/0-9-1/amqp0-9-1.stripped.xml > amqp0-9-1.txt
    python3 facts.py /usr/share/amqp/specs/0-8/amqp0-8.stripped.xml > amqp0-8.txt

A line each: "constant NAME VALUE CLASS", "property NAME:TYPE" in their order, and "method CLASS.NAME CLASS-ID METHOD-ID
FLAGS RECEIVERS FIELD:TYPE ..."; the flags are s if the sender waits for a reply, c if content follows.
"""
import sys
import xml.etree.ElementTree as xml

spec = xml.parse(sys.argv[1]).getroot()
types = {domain.get("name"): domain.get("type") for domain in spec.iter("domain")}


def fields(element):
    for field in element.findall("field"):
        domain = field.get("domain") or field.get("type")
        yield "%s:%s" % (field.get("name").replace(" ", "-"), types.get(domain, domain))


print("# The facts of AMQP %s-%s, by facts.py from %s of Debian's amqp-specs." % (
    spec.get("major"), spec.get("minor"), sys.argv[1].split("/")[-1]))
for constant in spec.findall("constant"):
    print("constant", constant.get("name").replace(" ", "-"), constant.get("value"), constant.get("class") or "-")
for group in spec.findall("class"):
    if group.get("name") == "basic":
        for field in fields(group):
            print("property", field)
    for method in group.findall("method"):
        flags = ("s" if method.get("synchronous") else "") + ("c" if method.get("content") else "")
        receivers = ",".join(sorted(chassis.get("name") for chassis in method.findall("chassis")))
        print("method", "%s.%s" % (group.get("name"), method.get("name")), group.get("index"), method.get("index"),
              flags or "-", receivers or "-", *fields(method))
