"""A stand-in for Harbor: its face, in front of a real `docker-registry`.

Harbor is a dozen images and cannot run wherever tests do; its storage can, because it is
distribution 2.8. What Harbor's core puts in front of that is written here: who may do what, the
token service and its odd challenges, projects, quotas, immutable tags, robots, garbage
collection, read-only mode, proxy-cache projects, cookies, and the part of the API that a client
needs.

How far to trust it: it was compared with a running Harbor (2.16-dev, commit c50c7ddd6) by 440
requests of ten accounts: challenges, tokens, statuses, codes, the messages of `/v2/`, what
each role and robot may see of the API, quotas, immutable tags, referrers, mounts, uploads,
read-only mode. It leaves out fields of the API that no client of a registry needs. What it can
be made to do and Harbor cannot, as garbage collections in the middle of a push, follows what was
read in the source. `--harbor URL` runs the tests against a Harbor instead (`running.py`).

    with Harbor(users={"ann": Account("pw")}) as harbor:
        harbor.project("team", members={"ann": "developer"}, storage_limit=10 * 2**20)
        harbor.robot("robot$team+ci", "secret", {"team": ("pull", "push")})
        ...  # imgsync push bundle.tar {harbor.host}/team, as ann
        assert harbor.tags("team/app") == {"1.0": digest}

| file | owns |
|---|---|
| `state.py` | what Harbor's database knows: projects, people, blobs, artifacts, tags |
| `identity.py` | who asks, and what they may do |
| `token_service.py` | `/service/token` |
| `routes.py` | what a path of `/v2/` is about |
| `checks.py` | what is refused before anything is done: access, read-only, quota, tags |
| `v2.py` | `/v2/` |
| `proxy_cache.py` | projects that fetch from elsewhere |
| `api.py` | `/api/` |
| `copying.py` | the API's copy of artifacts between repositories |
| `errors.py` | the envelope of errors |
| `server.py` | the server, and the object that tests hold |
| `running.py` | the same object for a Harbor that runs |
"""

from tests.servers.harbor.running import RunningHarbor
from tests.servers.harbor.server import ADMIN, ADMIN_PASSWORD, PASSWORD, Harbor
from tests.servers.harbor.state import Account, Artifact, ImmutableRule, Project, Robot

AnyHarbor = Harbor | RunningHarbor

__all__ = [
    "ADMIN",
    "ADMIN_PASSWORD",
    "PASSWORD",
    "Account",
    "AnyHarbor",
    "Artifact",
    "Harbor",
    "ImmutableRule",
    "Project",
    "Robot",
    "RunningHarbor",
]
