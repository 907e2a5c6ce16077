"""python -m restore_core"""

from restore_core.cli import main

raise SystemExit(main())
