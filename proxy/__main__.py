"""python -m proxy"""

from proxy.command_line import main

main()
