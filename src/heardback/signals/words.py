"""The words that agents knows a maker by: lists of regular expressions over a user agent in lower case.

White space parts the expressions; in one it is a class. The names of crawlers that are known one by one are those of
crawler-user-agents; these are the general signs of each family.
"""

from __future__ import annotations

import re


def any_of(words: str) -> re.Pattern[str]:
    """Make one expression of many, which white space parts."""
    return re.compile("|".join(words.split()))


MAIL_PROXY = any_of(
    r"""
    \bggpht\.com google[\s_-]?image[\s_-]?proxy
    (?:mail|outlook|icloud|zoho|naver|gmx|web\.de|aol|yandex|apple)[\s._-]?(?:image|img|content)?[\s_-]?proxy
    yahoo!?[\s_-]?cache[\s_-]?system yahoo!?[\s_-]?(?:mail|image)[\s_-]?proxy
    """
)
"""Servers that fetch pictures because a person's mail client asks for them."""

MAIL_CLIENT = any_of(
    r"""
    airmail aqua\s?mail balsa[/\s] barca(?:pro)?/ becky! betterbird bluemail canary\s?mail claws[\s-]?mail davdroid
    edison\s?mail email/\d em\s?client entourage eudora \bevolution/ fairemail fastmail/ foxmail geary \bgmail/
    groupwise gyazmail hcl\snotes hey[-\s]?mail hiri/ ibm\snotes incredimail k-9\s?mail kmail kontact lotus-?notes
    macoutlook ^mail/\d lanikai/ mailbird maildroid mail\s?master mailmate mailplane mailsmith mailspring mailwise
    microsoft\soffice/\d\S*\s\(.*outlook mail/v?\d mimestream missive/ mobilemail/ ms-office msoffice\s\d mutt/
    mymail/ newton\s?mail ninemail \boutlook\b pegasus\smail penelope/ polymail postbox proton\s?mail
    rambler[-\s]?mail roundcube samsungemail seamonkey shredder/ spark/\d sparrow/ spicebird superhuman sylpheed
    the\sbat! thunderbird trojita tutanota typeapp windows[-\s]live[-\s]mail windows\smail windowsmail
    yahoo!?\s?mail(?!.*proxy) yahoomobile(?:mail|messenger)? zimbra
    """
)
"""What people read mail with. Office fetches the pictures of Outlook under its own name."""

LINK_CHECKER = any_of(
    r"""
    anti[\s_-]?(?:virus|phish|spam) barracuda bitdefender checklink checkpoint (?:dead|broken)[\s_-]?link fireeye
    forcepoint fortiguard ironport kaspersky
    link[\s_-]?(?:check|valid|test|scan|walk|verif|audit|lint|sleuth|guard|alarm) linkexaminer linkinator lychee/
    mac\sos\sx\)\s(?:word|excel|powerpoint)/ malware mcafee messagelabs ^microsoft\sdata\saccess
    microsoft\soffice\s(?:existence|protocol)\sdiscovery microsoft\soffice\s(?:word|excel|powerpoint) mimecast
    miniredir muffet phish proofpoint safe[\s_-]?browsing safe[\s_-]?links sophos symantec trend\s?micro
    url[\s_-]?(?:check|valid|verif|scan|test|expand|resolv|analy|trust) urlscan virustotal websense \bxenu\b zscaler
    """
)
"""Programs that follow links to see where they lead: checkers, filters, and Office before it hands a link on."""

HTTP_LIBRARY = any_of(
    r"""
    aiohttp \bakka\b apachebench apache-http \bapt/ axios bun/ clojure cpp-?(?:rest|httplib) \bcurl\b
    \b(?:curl|wget|httpie|aria2|axel|lftp|fetch|libfetch|xh|wrk|siege|vegeta|k6|bombardier|gatling|jmeter)/ \bdart/
    dart:io deno/ dnf/ elixir erlang excon/ faraday fasthttp git/\d ^go\b go-http go-resty \bgot[\s/(] grpc guzzle
    hackney http4s httpclient http[\s_-]?client \bhttp(?:get|fetch|unit|perf|scoop) http-kit httpoison http\.rb
    httprequest http_request httpx \bhyper/ insomnia isahc \bjava/\d jersey/ jetty lavf/ libcurl libsoup libvlc
    libwww-perl lua-resty lwp[-:/] maven mechani[zs]e mojolicious msxml needle/
    \.net\s(?:core|framework|client|http) \bnetty\b node[-.] node\.js npm/ okhttp \bpaw/ \bpear\b \bperl php/ php-
    phpcrawl pip/ poco/ postman powershell pycurl python qt[\s-]?network \brequest(?:js)?/ requests/ reqwest
    rest-?assured rest-client restsharp resttemplate retrofit rpm/ \bruby \bscala\b scrapy snoopy soapui superagent
    ^surf/ symfony typhoeus undici unirest ureq urllib vert\.x vlc/ wget winhttp wininet wsdapi xmlhttp \bzend\b
    """
)
"""Libraries and commands, as they call themselves where nobody gave them another name."""

BOT_WORD = any_of(
    r"""
    accessib acunetix adsense aggregat ai-?agent analys analyz anthropic archiv \[at\] \(at\) \bat\s[\w-]+\sdot\s
    [\w.+-]+@[\w-]+\.[a-z] backlink \bbot burp checker\b claude cloudflare compliance cralw crawl crwl
    (?<!cu)bots?(?![a-z]) cypress/ dirbuster download(?:er)?\b drupal dynatrace embed(?:ly|\.) extractor
    facebookexternal fake_?user favicon feedburner \bfeed(?:er|ly|s|bin|parser|reader)?\b feedfetch fetcher ffuf
    firephp gobuster gomez google-(?!messages|app) google\s(?:search\sconsole|web\spreview|page|favicon) gpt
    gtmetrix harvest headless health[\s_-]?check heartbeat htmlunit https?[:;]/(?!/bsalsa) https?%3a httrack
    index(?:er|ing) joomla keynote libwww(?!-fm) lighthouse \+?mailto: masscan mediapartners monitor movabletype
    nessus netsparker newsblur nightmare nikto nmap nuclei oembed offline\s(?:browser|explorer|nav) openai openvas
    pagepeeker page[\s_-]?speed perplexity phantomjs plagiar playwright podcast prefetch preview \bptst\b puppeteer
    research robot \brss\b \bscan\b scann(?:er|ing) scooter scrap(?:e|er|y|ing) screen[\s_-]?shot
    search[\s_-]?engine selenium semantic \bseo\b siphon sitemap (?:site|web|page|status|ssl|dns|seo|ip)[\s_-]?check
    slimerjs slurp snapshot speed\s(?:insights|test) spider \bsplash\b spyder sqlmap survey syndicat synthetic
    teleport thumb transcod(?!er) typo3 unfurl uptime validat validator verif(?:y|ier) w3af w3c[_-] watchdog
    web[\s_-]?capture webcopier webdriver webhook webzip wechatdevtools wordpress wpscan \bwww\.(?!bsalsa)\w yottaa
    zgrab zombie\.js
    """
)
"""What crawlers, monitors and their like say of themselves. A browser names no web site and no address to write to."""

PLATFORM = any_of(
    r"""
    aix alcatel amiga android atari bada bb10 beos blackberry brew bsd cldc cros darwin directfb docomo dolfin
    dragonfly dreamcast fuchsia gecko/\d haiku harmonyos hbbtv hp-ux hpwos htc huawei inferno ios ipad iphone ipod
    irix j2me \bjava; jolla juc kaios kddi kindle konqueror lenovo \blg lge linux macintosh mac\s?os mac_p maemo
    meego midp mobile morphos mot- msie netfront netpositive netscape nintendo nokia obigo openharmony openvms
    opera\sm os/2 osf1 palm philips plan\s?9 playbook playstation psp qnx reactos rim\s risc\s?os s40 s60 sagem
    sailfish samsung sanyo series\s?[346]0 sharp silk skyos smarttv smart-tv solaris sonyericsson sunos syllable
    symbian tablet teleca tesla tizen toshiba ubuntu uc\s?browser ucweb up\.browser vms vodafone web0s webos
    webpositive wii win(?:9|16|32|64|nt|xp) windows x11 xbox zte
    """
)
"""What a browser says that it runs on; a crawler that calls itself Mozilla rarely does."""

OLD_BROWSER = any_of(
    r"""
    amaya\b amigavoyager\b arachne\b aweb\b browsh\b bunjalloo\b contiki\b cyberdog\b democracy\b dillo\b doris\b
    edbrowse\b elinks\b emacs-w3\b enigma\sbrowser\b galaxy\b hotjava\b ibrowse\b icab\b ice\sbrowser\b
    internet\sexplorer\b links\s\( lynx\b microsoft\sinternet\sexplorer\b miro\b mosaic\b msie\b ncsa[_\s]mosaic\b
    netpositive\b netsurf\b omniweb\b quicktime\b retawq\b safari\b sunrise\b uzbl\b voyager\b w3m\b
    """
)
"""How browsers begin that never called themselves Mozilla, most for terminals."""

DEVICE_HEAD = any_of(
    r"""
    acer\b alcatel amoi android\b asus audiovox benq bird\b blackberry boxee cdm\b compal coolpad dell\s docomo
    dopod ericsson fly\b gionee haier\b hbbtv/ helio\b hp\sipaq htc huawei i-mate infinix inq\b jbrowser j-phone
    juc\b karbonn kddi kindle kwc- kyocera lava\b lenovo lge lg[-/eu] maxon meizu meridian\b micromax mitsu mot-
    motorola nec- nettv/ nexian nokia novarra o2\b opera\smini oppo opwv- palm panasonic pantech pg- philips
    polaris/ portalmmm qtek roku/ sagem samsung sanyo sec- sendo sharp sie- siemens skyfire softbank sony
    sonyericsson spice\b sprint\b spv\b tcl tecno telit telson tianyu toshiba treo tsm\b uc\s?browser ucweb vivo\b
    vodafone vx\d wap\b windows\sphone xda xiaomi yulong zte
    """
)
"""How telephones and television sets begin, which do not begin with Mozilla."""

TELEPHONE = any_of(
    r"""
    browser/netfront configuration/cldc j2me/midp maui netfront/ obigo profile/midp teleca ucweb up\.browser
    up\.link
    """
)
"""What a telephone of before 2010 has somewhere in it."""

APPLICATION = any_of(
    r"""
    android\s\d applecoremedia cfnetwork/ ^com\. ^dalvik/ ;\sios\s\d \((?:iphone|ipad|ipod|ios)[;,\s] itunes[-/]
    """
)
"""An app that fetches for itself, or the system for it."""
