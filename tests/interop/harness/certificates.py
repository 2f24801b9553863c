"""A certificate authority for one run, with a certificate for the server and one for a client."""

import subprocess

from failure import Failure


def make(folder):
    """ca.pem, server.pem, server.key, client.pem, client.key."""
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=interop CA", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, subject, usage in (("server", "/CN=localhost", "serverAuth"), ("client", "/CN=guest", "clientAuth")):
        extensions = (f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={usage}\n"
                      "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n")
        (folder / f"{name}.ext").write_text(extensions)
        openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")


def openssl(folder, *arguments):
    try:
        ran = subprocess.run(["openssl", *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError:
        raise Failure("TLS scenarios need openssl: apt-get install openssl") from None
    if ran.returncode != 0:
        raise Failure(f"openssl {arguments[0]} failed:\n{ran.stdout}")
